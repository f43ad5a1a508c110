use std::collections::{BTreeMap, HashSet};

use super::*;

fn read(entries: &[(&str, &str)]) -> Result<Credentials, CredentialsProblem> {
    let data: BTreeMap<String, Vec<u8>> =
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Credentials::read(&data, &SecretKeys::default())
}

fn ac() -> String {
    account().to_string()
}

fn sk() -> String {
    format!("SK{}", "0".repeat(32))
}

#[test]
fn either_kind_is_read_and_line_ends_are_taken_off() {
    let token = read(&[("accountSid", &format!("{}\n", ac())), ("authToken", &format!(" {TOKEN}\r\n"))]).unwrap();
    assert_eq!(token.account(), &account());
    assert!(matches!(token.auth(), Auth::AuthToken(_)));
    assert!(token.auth_token().is_some());

    let key = read(&[("accountSid", &ac()), ("apiKeySid", &sk()), ("apiKeySecret", KEY_SECRET)]).unwrap();
    assert!(matches!(key.auth(), Auth::ApiKey { .. }));
    assert!(key.auth_token().is_none());

    let both = read(&[("accountSid", &ac()), ("authToken", TOKEN), ("apiKeySid", &sk()), ("apiKeySecret", KEY_SECRET)]);
    let both = both.unwrap();
    assert!(matches!(both.auth(), Auth::ApiKey { .. }), "an API key is preferred");
    assert!(both.auth_token().is_some(), "the token stays for signing");

    let template = read(&[("accountSid", &ac()), ("authToken", TOKEN), ("apiKeySid", ""), ("apiKeySecret", "\n")]);
    assert!(matches!(template.unwrap().auth(), Auth::AuthToken(_)), "empty is what a template leaves");
}

#[test]
fn each_problem_has_its_words_and_no_value() {
    let ac = ac();
    let sk = sk();
    let other = "f".repeat(32);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("authToken", TOKEN)],
            "key \"accountSid\" is missing: put the Account SID (AC…) there; the Twilio Console shows it on its first page",
        ),
        (
            &[("accountSid", " \n"), ("authToken", TOKEN)],
            "key \"accountSid\": the value is empty: put the Account SID (AC…) there; the Twilio Console shows it on its first page",
        ),
        (
            &[("accountSid", &ac)],
            "key \"authToken\" is missing: add the account's auth token there, or an API key as \"apiKeySid\" and \"apiKeySecret\"",
        ),
        (
            &[("accountSid", &ac), ("authToken", "")],
            "key \"authToken\": the value is empty: add the account's auth token there, or an API key as \"apiKeySid\" and \"apiKeySecret\"",
        ),
        (
            &[("accountSid", TOKEN), ("authToken", &ac)],
            "key \"accountSid\": it looks swapped with \"authToken\": put the AC… SID under \"accountSid\" and the token under \"authToken\"",
        ),
        (
            &[("accountSid", &sk), ("apiKeySecret", KEY_SECRET)],
            "key \"accountSid\": it is the SID of an API key: put the AC… SID there and the SK… one under \"apiKeySid\"",
        ),
        (
            &[("accountSid", TOKEN), ("authToken", &other)],
            "key \"accountSid\": it is 32 hexadecimal digits without a prefix, which looks like an auth token; it looks like AC followed by 32 hexadecimal digits: put the Account SID there",
        ),
        (
            &[("accountSid", &ac), ("authToken", &TOKEN[1..])],
            "key \"authToken\": it has 31 characters instead of 32: copy the auth token again from the Twilio Console; encode it once, not twice",
        ),
        (
            &[("accountSid", &ac), ("authToken", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")],
            "key \"authToken\": it has a character that is no hexadecimal digit: copy the auth token again from the Twilio Console; an API key's secret does not belong there",
        ),
        (
            &[("accountSid", &ac), ("authToken", &ac)],
            "key \"authToken\": it is an Account SID: put the auth token there and the AC… SID under \"accountSid\"",
        ),
        (
            &[("accountSid", &ac), ("authToken", &sk)],
            "key \"authToken\": it is the SID of an API key: put the auth token there and the SK… SID under \"apiKeySid\"",
        ),
        (
            &[("accountSid", &ac), ("authToken", TOKEN), ("apiKeySid", &sk)],
            "key \"apiKeySecret\" is missing: \"apiKeySid\" is there: add the secret of the same API key; Twilio showed it once, when the key was made",
        ),
        (
            &[("accountSid", &ac), ("authToken", TOKEN), ("apiKeySecret", KEY_SECRET)],
            "key \"apiKeySid\" is missing: \"apiKeySecret\" is there: add the SID (SK…) of the same API key",
        ),
        (
            &[("accountSid", &ac), ("apiKeySid", &sk), ("apiKeySecret", "")],
            "key \"apiKeySecret\": the value is empty: \"apiKeySid\" is there: add the secret of the same API key; Twilio showed it once, when the key was made",
        ),
        (
            &[("accountSid", &ac), ("apiKeySid", &ac), ("apiKeySecret", KEY_SECRET)],
            "key \"apiKeySid\": it is an Account SID: put the SK… SID there and the AC… one under \"accountSid\"",
        ),
        (
            &[("accountSid", &ac), ("apiKeySid", &sk), ("apiKeySecret", &sk)],
            "key \"apiKeySecret\": it is the SID of an API key: put the key's secret there and the SK… SID under \"apiKeySid\"",
        ),
        (
            &[("accountSid", &ac), ("apiKeySid", &sk), ("apiKeySecret", "short")],
            "key \"apiKeySecret\": it has 5 characters, 16 to 64 are possible: copy the API key's secret again",
        ),
        (
            &[("accountSid", &ac), ("apiKeySid", &sk), ("apiKeySecret", "canary canary canary")],
            "key \"apiKeySecret\": it has a character that is not visible ASCII: copy the API key's secret again",
        ),
    ];
    for (entries, text) in cases {
        let problem = read(entries).unwrap_err();
        assert_eq!(problem.to_string(), *text);
        for shown in [problem.to_string(), format!("{problem:?}")] {
            assert_clean(&shown);
            for (_, value) in *entries {
                assert!(value.trim().is_empty() || !shown.contains(value.trim()), "{shown}");
            }
        }
    }
}

#[test]
fn a_value_that_is_not_text_is_told_without_it() {
    let mut data = BTreeMap::from([("accountSid".to_owned(), ac().into_bytes())]);
    data.insert("authToken".to_owned(), vec![0xff, 0xfe, b'x']);
    let problem = Credentials::read(&data, &SecretKeys::default()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "key \"authToken\": the value is not UTF-8 text: store it as plain text, encoded once"
    );
}

#[test]
fn renamed_keys_are_read_and_named() {
    let keys = SecretKeys { account_sid: "SID".to_owned(), auth_token: "TOKEN".to_owned(), ..SecretKeys::default() };
    let data = BTreeMap::from([("SID".to_owned(), ac().into_bytes())]);
    let problem = Credentials::read(&data, &keys).unwrap_err();
    assert!(matches!(problem, CredentialsProblem::MissingKey { key, .. } if key == "TOKEN"));
}

#[test]
fn a_fingerprint_tells_rotated_credentials_apart() {
    let other_token = Credentials::new(account(), Auth::AuthToken(SecretString::from("f".repeat(32))));
    let all = [canary_token(), canary_key(), other_token];
    let prints: HashSet<_> = all.iter().map(|credentials| credentials.fingerprint(b"salt")).collect();
    assert_eq!(prints.len(), all.len());
    assert_eq!(canary_token().fingerprint(b"salt"), canary_token().fingerprint(b"salt"));
    assert_ne!(canary_token().fingerprint(b"salt"), canary_token().fingerprint(b"pepper"));
}

#[test]
fn debug_shows_the_kind_only() {
    for credentials in [canary_token(), canary_key()] {
        let text = format!("{credentials:?} {:?} {:?}", credentials.auth(), credentials.authorization().unwrap());
        assert_clean(&text);
        assert!(!text.contains("SK0"), "{text}");
    }
}
