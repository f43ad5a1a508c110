use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::super::error::{Failure, request_id, trouble};
use super::super::scrub::Scrubber;
use super::*;
use Class::{
    AccountLimited, AccountSuspended, CredentialsRejected, InvalidRequest, NotFound, NumberUnavailable, RateLimited,
    RegulatoryDataRequired, Unavailable,
};
use Meaning::{Ambiguous, NotSent, RefusedNumber, RefusedOtherwise, Throttled};

fn refused(status: u16, headers: HeaderMap, body: &str) -> Trouble {
    let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_owned().into() };
    let scrubber = Scrubber::new(&canary_key());
    let trouble = trouble("CreateIncomingPhoneNumber", &scrubber, &Failure::Refused(&answer));
    assert_clean(&format!("{trouble} {trouble:?}"));
    assert!(!trouble.detail.is_empty() && trouble.detail.chars().count() <= 350);
    trouble
}

fn coded(status: u16, code: u32) -> Trouble {
    refused(status, HeaderMap::new(), &json!({"code": code, "message": "no", "status": status}).to_string())
}

/// Every code that the operator can meet, by what it means.
#[test]
fn every_code_has_its_meaning() {
    let credentials = Meaning::Credentials;
    let table: &[(Meaning, Class, u16, &[u32])] = &[
        (credentials, AccountSuspended, 403, &[10_001, 20_005, 20_403]),
        (credentials, CredentialsRejected, 401, &[20_003, 20_006, 20_008, 70_051]),
        (RefusedOtherwise, AccountLimited, 400, &[10_002, 20_010, 21_404, 21_470, 21_471, 21_472, 21_473, 21_474]),
        (Ambiguous, Unavailable, 400, &[20_500, 20_503, 20_504, 20_162, 20_409]),
        (Throttled, RateLimited, 400, &[20_429]),
        (RefusedNumber, NumberUnavailable, 400, &[20_023, 21_401, 21_407, 21_421, 21_422]),
        (RefusedOtherwise, NumberUnavailable, 400, &[21_452]),
        (
            RefusedOtherwise,
            RegulatoryDataRequired,
            400,
            &[21_613, 21_615, 21_628, 21_629, 21_630, 21_631, 21_648, 21_649, 21_650, 21_651, 22_200, 22_210, 22_229],
        ),
        (
            RefusedOtherwise,
            InvalidRequest,
            400,
            &[
                20_001, 20_002, 20_004, 20_007, 20_422, 20_423, 21_402, 21_403, 21_405, 21_406, 21_409, 21_420, 21_450,
                21_451, 21_453, 21_457, 21_458, 21_502, 21_616, 21_617, 21_669, 21_701, 21_703, 21_704, 21_705, 21_710,
                21_711, 21_712, 21_714, 21_715, 22_100, 22_123, 22_130, 22_131, 22_132, 22_133, 22_400,
            ],
        ),
        // Not in Twilio's dictionary, or never an answer of its API: judged by status.
        (RefusedOtherwise, InvalidRequest, 400, &[21_410, 21_423, 21_424, 11_200, 11_205, 11_321, 30_034, 99_999]),
        (RefusedOtherwise, NotFound, 404, &[20_404]),
    ];
    for (meaning, class, status, codes) in table {
        for code in *codes {
            let trouble = coded(*status, *code);
            assert_eq!((trouble.meaning, trouble.class), (*meaning, *class), "{code}");
            assert_eq!((trouble.code, trouble.http_status), (Some(*code), Some(*status)));
            let waiting_is_all = matches!(trouble.meaning, Ambiguous | Throttled);
            assert_eq!(trouble.remedy.is_empty(), waiting_is_all, "{code}: {:?}", trouble.remedy);
            assert!(waiting_is_all || trouble.remedy.ends_with('.'), "{code}");
        }
    }
}

#[test]
fn remedies_name_the_field() {
    for (code, word) in [
        (20_008, "test credentials"),
        (70_051, "CreateIncomingPhoneNumber"),
        (21_615, "spec.regulatory.addressSID"),
        (21_631, "spec.regulatory.addressSID"),
        (21_649, "spec.regulatory.bundleSID"),
        (21_650, "spec.regulatory.identitySID"),
        (21_402, "spec.sms.webhookURL"),
        (21_403, "spec.sms.method"),
        (21_405, "spec.voice.fallbackURL"),
        (21_406, "spec.sms.fallbackURL"),
        (21_451, "spec.search.areaCodes"),
        (21_712, "spec.sms.messagingServiceSID"),
        (20_002, "spec.friendlyName"),
    ] {
        let trouble = coded(400, code);
        assert!(trouble.remedy.contains(word), "{code}: {}", trouble.remedy);
    }
}

#[test]
fn a_status_without_a_word_about_the_effect_is_never_a_refusal() {
    for status in [100, 101, 103, 199, 300, 301, 302, 303, 304, 307, 308, 408, 500, 501, 502, 503, 504, 520, 599] {
        for body in ["", "<html>", r#"{"code":21422,"message":"taken","status":400}"#, r#"{"code":20404}"#] {
            let trouble = refused(status, HeaderMap::new(), body);
            assert_eq!((trouble.meaning, trouble.class), (Ambiguous, Unavailable), "{status} {body}");
        }
    }
    for status in [401, 403] {
        let trouble = coded(status, 21_422);
        assert_eq!((trouble.meaning, trouble.class), (Meaning::Credentials, CredentialsRejected));
    }
    assert_eq!(coded(429, 21_422).meaning, Throttled);
    for body in ["", r#"{"code":20409,"message":"conflict"}"#, r#"{"code":99999}"#] {
        assert_eq!(refused(409, HeaderMap::new(), body).meaning, Ambiguous, "our own attempt may be the other one");
    }
}

#[test]
fn absence_is_proved_by_twilio_alone() {
    assert_eq!(coded(404, 20_404).class, NotFound);
    for body in [
        "",
        "<html>404 Not Found</html>",
        "404 page not found",
        r#"{"message":"no Route matched with those values"}"#,
        r#"{"kind":"Status","status":"Failure","message":"not found","code":404}"#,
        r#"{"timestamp":"x","status":404,"error":"Not Found","message":"","path":"/2010-04-01"}"#,
        r#"{"type":"about:blank","title":"Not Found","status":404}"#,
        r#"["20404"]"#,
        r#"{"errors":{"code":20404}}"#,
    ] {
        let trouble = refused(404, HeaderMap::new(), body);
        assert_eq!((trouble.meaning, trouble.class), (Ambiguous, Unavailable), "{body}");
    }
    assert_eq!(coded(400, 20_404).class, InvalidRequest);
    assert_eq!(coded(404, 21_701).class, InvalidRequest);
    assert_eq!(coded(404, 99_999).class, InvalidRequest);
}

#[test]
fn every_shape_of_body_is_read() {
    for body in [
        r#"{"status":400,"message":"+15005550000 is not available","code":21422,"more_info":"http://www.twilio.com/docs/errors/21422"}"#,
        r#"{"message":"+15005550000 is not available","code":"21422","details":{"x":1}}"#,
        r#"{"type":"https://www.twilio.com/docs/api/errors/21422","title":"Taken","status":400,"code":21422,"detail":"+15005550000 is not available","instance":null,"errors":[{"detail":"x","pointer":"/a"}]}"#,
        r#"{"type":"t","title":"+15005550000 is not available","status":400,"code":21422}"#,
        r#"{"errors":[{"code":21422,"message":"+15005550000 is not available","infoUrl":"x"},{"code":20003}]}"#,
        r#"{"code":21422,"message":"+15005550000 is not available","errors":null}"#,
        r#"{"code":21422,"message":"+15005550000 is not available","errors":{}}"#,
    ] {
        let trouble = refused(400, HeaderMap::new(), body);
        assert_eq!(trouble.code, Some(21_422), "{body}");
        assert_eq!(trouble.meaning, RefusedNumber);
        assert_eq!(trouble.detail, "Twilio says: +15005550000 is not available");
        assert_eq!(
            trouble.to_string(),
            "CreateIncomingPhoneNumber: Twilio says: +15005550000 is not available (Twilio 21422) (HTTP 400)"
        );
    }
}

#[test]
fn without_twilios_words_the_status_decides() {
    for body in ["", "<html><body>Bad</body></html>", "null", "[]", "{}", "\"text\"", "\u{0}"] {
        for (status, meaning, class) in [
            (400, Ambiguous, Unavailable),
            (405, Ambiguous, Unavailable),
            (413, Ambiguous, Unavailable),
            (401, Meaning::Credentials, CredentialsRejected),
            (403, Meaning::Credentials, CredentialsRejected),
            (404, Ambiguous, Unavailable),
            (409, Ambiguous, Unavailable),
            (429, Throttled, RateLimited),
            (503, Ambiguous, Unavailable),
        ] {
            let trouble = refused(status, HeaderMap::new(), body);
            assert_eq!((trouble.meaning, trouble.class), (meaning, class), "{status} {body:?}");
            assert_eq!(trouble.code, None);
        }
    }
    let without_code = refused(400, HeaderMap::new(), r#"{"message":"bad","status":400}"#);
    assert_eq!((without_code.meaning, without_code.class), (RefusedOtherwise, InvalidRequest));
}

#[test]
fn twilios_words_are_bounded_and_scrubbed() {
    let message = format!(
        "bad \u{1b}[31m https://example.com/sms?key=canary {TOKEN} {} {KEY_SECRET} SK{} {}",
        TOKEN.to_uppercase(),
        "0".repeat(32),
        "x".repeat(5000)
    );
    let trouble = refused(400, HeaderMap::new(), &json!({"code": 21_402, "message": message}).to_string());
    assert!(trouble.detail.contains("https://example.com/sms?…"), "{}", trouble.detail);
    assert!(!trouble.detail.contains('\u{1b}') && !trouble.detail.contains("SK000"));
    assert!(trouble.detail.chars().count() <= 320);
}

#[test]
fn retry_after_is_read_in_either_form() {
    let wait = |pairs: &[(&'static str, &'static str)]| {
        let headers = pairs.iter().map(|(k, v)| (http::HeaderName::from_static(k), HeaderValue::from_static(v)));
        refused(429, headers.collect(), "").retry_after
    };
    assert_eq!(wait(&[]), None);
    assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(wait(&[("retry-after", " 0 ")]), Some(Duration::ZERO));
    assert_eq!(wait(&[("retry-after", "99999999999999")]), Some(Duration::from_secs(86_400)));
    assert_eq!(wait(&[("retry-after", "soon")]), None);
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(wait(&[date, ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(Duration::from_secs(30)));
    assert_eq!(wait(&[date, ("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT")]), Some(Duration::ZERO));
    assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), None, "no clock has a say");
}

#[test]
fn the_request_id_is_kept_if_it_is_one() {
    let id = |text: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("Twilio-Request-Id", HeaderValue::from_static(text));
        request_id(&headers, &Scrubber::new(&canary_token()))
    };
    let good = "RQ00000000000000000000000000000000";
    assert_eq!(id(good), Some(good.to_owned()));
    assert_eq!(id("a b"), None);
    assert_eq!(id(TOKEN), None, "whoever answers knows the token");
    assert_eq!(id(""), None);
    assert_eq!(request_id(&HeaderMap::new(), &Scrubber::new(&canary_token())), None);
}

#[test]
fn failures_without_an_answer() {
    let tell = |failure| {
        let trouble = trouble("X", &Scrubber::new(&canary_token()), &failure);
        (trouble.meaning, trouble.class, trouble.detail)
    };
    assert_eq!(tell(Failure::Fenced), (NotSent, Unavailable, "not sent: the send deadline was over".to_owned()));
    assert_eq!(
        tell(Failure::NotSent("dns error")),
        (NotSent, Unavailable, "Twilio could not be reached: dns error".to_owned())
    );
    assert_eq!(
        tell(Failure::Interrupted("reset for https://example.com/x?key=canary")),
        (
            Ambiguous,
            Unavailable,
            "the connection broke before the answer was complete: reset for https://example.com/x?…".to_owned()
        )
    );
    assert_eq!(
        tell(Failure::TimedOut(Duration::from_secs(30))),
        (Ambiguous, Unavailable, "no answer came within 30s".to_owned())
    );
}
