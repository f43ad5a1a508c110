//! The audit, by the command and by the operator: what it finds, that it writes nothing, and that it shows no credential.

use std::error::Error;
use std::path::Path;
use std::process::Output;

use clinic_phone_operator::domain::InstallationId;
use clinic_phone_operator::simulator::{Fault, FaultSpec};
use clinic_phone_operator::yaml;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::harness::Outcome;
use crate::program::{SHORT, installed_with};
use crate::world::{Options, World, held, life};

/// Numbers that nobody bought through a resource.
const BY_HAND: &str = "+14185550901";
const ELSEWHERE: &str = "+14185550902";
const TWICE: &str = "+14185550903";
const ABANDONED: &str = "+14185550904";

/// A world's Twilio on a socket, for as long as this lives.
pub struct Served {
    pub url: String,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub async fn serve(world: &World) -> Result<Served, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let served = Served { url: format!("http://{}", listener.local_addr()?), stop: CancellationToken::new() };
    let (twilio, stop) = (world.twilio.clone(), served.stop.clone());
    world.space.env.spawn(async move { drop(twilio.serve(listener, stop).await) });
    Ok(served)
}

/// Runs a command, as whoever the kubeconfig names.
pub fn run_as(kubeconfig: &Path, command: &str, flags: &[&str]) -> Result<Output, Box<dyn Error>> {
    Ok(std::process::Command::new(env!("CARGO_BIN_EXE_clinic-phone-operator"))
        .arg(command)
        .args(flags)
        .env("KUBECONFIG", kubeconfig)
        .output()?)
}

fn run(kubeconfig: &Path, flags: &[&str]) -> Result<Output, Box<dyn Error>> {
    run_as(kubeconfig, "audit", flags)
}

/// Runs the command as an administrator, for the world's namespaces; returns what it printed and its exit code.
fn audit(world: &World, twilio: &Served, flags: &[&str]) -> Result<(String, Option<i32>), Box<dyn Error>> {
    let namespaces = world.namespaces.join(",");
    let usual = [
        "--installation-id",
        &world.installation,
        "--namespaces",
        &namespaces,
        "--twilio-url",
        &twilio.url,
        "--twilio-timeout",
        "5s",
    ];
    let output = run(&world.space.env.control_plane.kubeconfig(), &[&usual, flags].concat())?;
    assert_eq!(String::from_utf8(output.stderr)?, "", "standard error is no terminal");
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

fn report(world: &World, twilio: &Served) -> Result<(Value, Option<i32>), Box<dyn Error>> {
    let (text, code) = audit(world, twilio, &["--output", "json"])?;
    Ok((serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?, code))
}

/// Kind, resource and numbers of every finding of the first account.
fn findings(report: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report.pointer("/accounts/0/findings").and_then(Value::as_array).into_iter().flatten();
    all.map(|finding| {
        let numbers = finding["numbers"].as_array().into_iter().flatten().map(|n| text(&n["phoneNumber"]));
        let resource = finding.pointer("/resource/name").map(text).unwrap_or_default();
        (text(&finding["kind"]), resource, numbers.collect())
    })
    .collect()
}

/// One of everything. Returns the numbers of: the resource that is in order, the one that was deleted, the one that was
/// stripped, and the one whose number was released by hand.
async fn everything(world: &mut World) -> Result<[String; 4], Box<dyn Error>> {
    let mut numbers = [const { String::new() }; 4];
    for (name, number) in ["kept", "deleted", "stripped", "lost"].into_iter().zip(&mut numbers) {
        world.create(name, json!({})).await?;
        *number = held(&world.ready(name).await?);
    }
    world.delete("deleted").await?;
    world.gone("deleted").await?;
    world.stop().await?;
    world.strip("stripped").await?;
    world.delete("stripped").await?;
    world.gone("stripped").await?;
    world.console(&world.account, &numbers[3], None).await?;
    let elsewhere = InstallationId::parse("elsewhere")?.mark("clinic", "x", false);
    let more = json!([
        {"phoneNumber": BY_HAND, "friendlyName": "Front desk"},
        {"phoneNumber": ELSEWHERE, "friendlyName": format!("{elsewhere} theirs")},
        {"phoneNumber": TWICE, "friendlyName": format!("{} spare", world.mark("kept", false)?)},
    ]);
    world.hold(&world.account, &more)?;
    Ok(numbers)
}

/// What must not be in anything that is printed.
fn no_credential(world: &World, text: &str) {
    let token = &world.account.token;
    let basic = data_encoding::BASE64.encode(format!("{}:{token}", world.account.sid).as_bytes());
    for secret in [token.as_str(), &basic[50..66]] {
        assert!(!text.contains(secret), "a credential is printed: {text}");
    }
}

#[test]
fn the_command_tells_everything_and_writes_nothing() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let [kept, deleted, stripped, lost] = everything(world).await?;
        let twilio = serve(world).await?;
        let (rows, objects) = (world.twilio.numbers(), world.space.get("").await?["items"].clone());
        let before = world.twilio.calls().len();

        let (report, code) = report(world, &twilio)?;
        assert_eq!(code, Some(3), "{report:#}");
        let mut orphans = [deleted.clone(), stripped.clone()];
        orphans.sort();
        let mut tagged = [kept.clone(), TWICE.to_owned()];
        // The number held stands first.
        tagged[1..].sort();
        let expected = [
            ("Orphan".to_owned(), String::new(), vec![orphans[0].clone()]),
            ("Orphan".to_owned(), String::new(), vec![orphans[1].clone()]),
            ("DuplicateTag".to_owned(), "kept".to_owned(), tagged.to_vec()),
            ("NumberGone".to_owned(), "lost".to_owned(), vec![lost.clone()]),
        ];
        assert_eq!(findings(&report), expected);
        let account = &report["accounts"][0];
        assert_eq!(account["accountSID"], json!(world.account.sid));
        assert_eq!((&account["audited"], &account["listComplete"]), (&json!(true), &json!(true)));
        assert_eq!(
            account["numbers"],
            json!({
                "total": 6, "inUse": 1, "resolving": 0, "surplus": 1, "orphaned": 2, "notServed": 0, "unknownOwner": 0,
                "otherInstallations": 1, "untagged": 1,
            })
        );
        let cost = json!([{"amount": "3.45", "currency": "USD"}]);
        assert_eq!(account["idle"], json!({"numbers": 3, "unpriced": 0, "monthlyCost": cost}));
        assert_eq!(report["summary"]["idleMonthlyCost"], cost);
        let orphan = &account["findings"][0];
        let row = world.row(&orphans[0])?;
        let number = &orphan["numbers"][0];
        assert_eq!((&number["phoneNumberSID"], &orphan["certain"]), (&json!(row.sid), &json!(true)));
        assert_eq!(number["monthlyCost"], json!({"amount": "1.15", "currency": "USD"}));
        let name = if orphans[0] == deleted { "deleted" } else { "stripped" };
        let tag = InstallationId::parse(&world.installation)?.tag(&world.space.namespace, name);
        assert_eq!((&orphan["tag"], &number["tag"]), (&json!(tag), &json!(tag)));
        assert!(number["since"].as_str().is_some_and(|at| at.contains('T')), "{number}");
        assert_eq!(account["untagged"][0]["phoneNumber"], json!(BY_HAND));

        // What Twilio saw: one list, one look at the number that the list lacks, one price list. No write.
        let calls = world.twilio.calls();
        let seen: Vec<_> = calls[before..].iter().map(|call| (call.method.as_str(), call.operation.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("GET", "ListIncomingPhoneNumber"),
                ("GET", "FetchIncomingPhoneNumber"),
                ("GET", "FetchPhoneNumberCountry")
            ]
        );

        let (table, code) = audit(world, &twilio, &[])?;
        assert_eq!(code, Some(3));
        for words in ["3.45 USD", "Orphan", &deleted, &stripped, "DuplicateTag", TWICE, "NumberGone", &lost, "complete"]
        {
            assert!(table.contains(words), "{words} is not in\n{table}");
        }
        assert!(!table.contains(BY_HAND) && !table.contains(ELSEWHERE) && !table.contains(tag.as_str()), "{table}");
        let (wide, _) = audit(world, &twilio, &["-o", "wide"])?;
        assert!(wide.contains(BY_HAND) && wide.contains("Front desk") && wide.contains(tag.as_str()), "{wide}");
        let (text, _) = audit(world, &twilio, &["-o", "yaml"])?;
        assert_eq!(yaml::from_str::<Value>(&text)?, report, "YAML says what JSON says");
        for printed in [&table, &wide, &text] {
            no_credential(world, printed);
            assert!(!printed.contains(ELSEWHERE), "another installation's number is named: {printed}");
        }

        // Under its former id the number of the other installation is one of ours, and nobody's.
        let (former, _) = audit(world, &twilio, &["--previous-installation-id", "elsewhere", "-o", "json"])?;
        let former: Value = serde_json::from_str(&former)?;
        assert!(findings(&former).contains(&("Orphan".to_owned(), String::new(), vec![ELSEWHERE.to_owned()])));

        assert!(world.twilio.calls()[before..].iter().all(|call| call.method == "GET"));
        assert_eq!(
            (world.twilio.numbers(), &world.space.get("").await?["items"]),
            (rows, &objects),
            "all is as it was"
        );
        Ok(())
    })
}

#[test]
fn exit_codes_tell_well_found_and_failed_apart() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let twilio = serve(world).await?;
        let (text, code) = audit(world, &twilio, &[])?;
        assert_eq!((text.as_str(), code), ("No account is named by any resource.\n", Some(0)));
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        let (text, code) = audit(world, &twilio, &[])?;
        assert!(code == Some(0) && text.ends_with("Nothing is wrong.\n"), "{code:?}: {text}");

        // Twilio cannot be asked: nobody may take that for an answer.
        world.twilio.put_faults(vec![FaultSpec::always("ListIncomingPhoneNumber", Fault::Http503)]);
        let (down, code) = report(world, &twilio)?;
        assert_eq!((code, &down["accounts"][0]["findings"][0]["obstacle"]), (Some(1), &json!("Unreachable")));
        world.twilio.put_faults(vec![]);

        // A list that lacks what is there.
        world.twilio.put_faults(vec![FaultSpec::always("FetchIncomingPhoneNumber", Fault::Http503)]);
        let number = held(&world.ready("reception").await?);
        world.stop().await?;
        world.console(&world.account, &number, None).await?;
        let (hole, code) = report(world, &twilio)?;
        assert_eq!(code, Some(3));
        assert_eq!(findings(&hole), [("IncompleteList".to_owned(), String::new(), vec![number.clone()])]);
        world.twilio.put_faults(vec![]);
        let (gone, _) = report(world, &twilio)?;
        assert_eq!(findings(&gone), [("NumberGone".to_owned(), "reception".to_owned(), vec![number])]);

        // Refused, and gone.
        world.secret("twilio", &json!({"accountSid": world.account.sid, "authToken": "0".repeat(32)})).await?;
        let (refused, code) = report(world, &twilio)?;
        assert_eq!((code, &refused["accounts"][0]["findings"][0]["obstacle"]), (Some(3), &json!("CredentialsRefused")));
        world.no_secret("twilio").await?;
        let (none, code) = report(world, &twilio)?;
        assert_eq!((code, &none["accounts"][0]["findings"][0]["obstacle"]), (Some(3), &json!("NoCredentials")));
        assert_eq!(none["accounts"][0]["audited"], json!(false));

        // Wrong usage, a wrong value, and a cluster that cannot be asked.
        let admin = world.space.env.control_plane.kubeconfig();
        for (kubeconfig, flags, code, words) in [
            (admin.as_path(), &["--no-such-flag"][..], 2, "--no-such-flag"),
            (admin.as_path(), &["--installation-id", "a b"][..], 1, "--installation-id"),
            (Path::new("/nonexistent"), &["--installation-id", "a"][..], 1, "cluster"),
            // The operator's account here may list its own namespace and no other.
            (world.kubeconfig.as_path(), &["--installation-id", "a"][..], 1, "clinicphonenumbers"),
        ] {
            let output = run(kubeconfig, flags)?;
            let text = String::from_utf8(output.stderr)?;
            assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{flags:?}: {text}");
            assert!(text.contains(words), "{flags:?}: {text}");
        }
        Ok(())
    })
}

/// Two Secrets of one account, one of them with a token that was replaced long ago.
#[test]
fn one_good_secret_is_enough_for_an_account() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let twilio = serve(world).await?;
        for name in ["a", "b", "c"] {
            world.create(name, json!({"credentialsSecretRef": {"name": format!("s-{name}")}})).await?;
        }
        for name in ["s-a", "s-b"] {
            world.secret(name, &json!({"accountSid": world.account.sid, "authToken": "0".repeat(32)})).await?;
        }
        world.secret("s-c", &json!({"accountSid": world.account.sid, "authToken": world.account.token})).await?;
        world.ready("c").await?;
        let (report, code) = report(world, &twilio)?;
        assert_eq!((report.pointer("/accounts/0/audited"), code), (Some(&json!(true)), Some(0)), "{report:#}");
        assert_eq!(report.pointer("/accounts/0/numbers/inUse"), Some(&json!(1)));
        Ok(())
    })
}

#[test]
fn what_other_namespaces_have_is_said_only_where_it_can_be_known() -> Outcome {
    let options = Options { clinics: &["away"], ..Options::default() };
    life(options, async |world: &mut World| {
        let (here, away) = (world.namespaces[0].clone(), world.namespaces[1].clone());
        let twilio = serve(world).await?;
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        world.stop().await?;
        let mark = InstallationId::parse(&world.installation)?.mark(&away, "annex", false);
        world.hold(&world.account, &json!([{"phoneNumber": ABANDONED, "friendlyName": format!("{mark} Annex")}]))?;
        let path = format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{away}/clinicphonenumbers");
        let annex = crate::harness::number("annex", &crate::world::spec(&json!({})));
        world.space.send("POST", &path, &[], &annex).await?;
        let flags = ["--installation-id", &world.installation, "--namespaces", &here, "--twilio-url", &twilio.url];
        let flags = [&flags[..], &["-o", "json"]].concat();
        let as_whom = |kubeconfig: &Path| -> Result<(Value, Option<i32>), Box<dyn Error>> {
            let output = run(kubeconfig, &flags)?;
            Ok((serde_json::from_slice(&output.stdout)?, output.status.code()))
        };
        let admin = world.space.env.control_plane.kubeconfig();
        let sorts = |report: &Value| {
            let of = |sort: &str| report["accounts"][0]["numbers"][sort].as_u64();
            (of("notServed"), of("unknownOwner"), of("orphaned"))
        };

        // An administrator may look everywhere.
        let (report, code) = as_whom(&admin)?;
        assert_eq!((sorts(&report), code), ((Some(1), Some(0), Some(0)), Some(0)), "{report:#}");
        // The operator's account may not, with one Role a namespace: then it is not called an orphan.
        let (report, code) = as_whom(&world.kubeconfig)?;
        assert_eq!((sorts(&report), code), ((Some(0), Some(1), Some(0)), Some(0)), "{report:#}");
        assert_eq!(report["accounts"][0]["unknownOwner"][0]["phoneNumber"], json!(ABANDONED));
        // And where nobody has it, it is one.
        world.space.send("DELETE", &format!("{path}/annex"), &[], &Value::Null).await?;
        let (report, code) = as_whom(&admin)?;
        assert_eq!((sorts(&report), code), ((Some(0), Some(0), Some(1)), Some(3)), "{report:#}");
        Ok(())
    })
}

#[test]
fn the_operator_audits_by_itself_and_tells_each_finding_once() -> Outcome {
    let options = Options { everywhere: true, ..Options::default() };
    let flags = [&["--audit-interval", "1s", "--log-format", "json"], &SHORT[..]].concat();
    installed_with(options, &flags, async |op| {
        let running = op.start().await?;
        for name in ["kept", "deleted", "lost"] {
            op.world.create(name, json!({})).await?;
            op.world.ready(name).await?;
        }
        let orphan = held(&op.world.ready("deleted").await?);
        let lost = held(&op.world.ready("lost").await?);
        // First what costs, so that the orphan is never told with another sum.
        let spare = format!("{} spare", op.world.mark("kept", false)?);
        op.world.hold(&op.world.account, &json!([{"phoneNumber": TWICE, "friendlyName": spare}]))?;
        op.world.delete("deleted").await?;
        op.world.gone("deleted").await?;
        op.world.console(&op.world.account, &lost, None).await?;
        let sold = (op.world.sold(), op.world.released(), op.world.twilio.numbers());

        let world = &op.world;
        let finding = |kind: &str| format!("clinic_phone_operator_audit_findings{{kind=\"{kind}\"}}");
        for kind in ["orphan", "duplicate_tag", "number_gone"] {
            let name = finding(kind);
            world.eventually(&name, async || Ok((running.figure(&name).await.ok() == Some(1)).then_some(()))).await?;
        }
        let page = running.page("/metrics").await?;
        for line in [
            "audit_findings{kind=\"not_audited\"} 0",
            "audit_idle_numbers 2",
            "audit_idle_unpriced_numbers 0",
            "audit_idle_monthly_cost{currency=\"USD\"} 2.3",
            "audit_failures_total 0",
        ] {
            assert!(page.lines().any(|is| is == format!("clinic_phone_operator_{line}")), "{line} is not in\n{page}");
        }
        let completed = "clinic_phone_operator_audit_last_completed_timestamp_seconds";
        assert!(running.figure(completed).await? > 1_700_000_000);
        world.event("AuditOrphanNumbers", &[&orphan, "2.30 USD"]).await?;
        world.event("AuditNumberGone", &[&lost]).await?;
        world.event("AuditTagHeldTwice", &[TWICE]).await?;

        // Some more audits say nothing new.
        let told_at = running.figure(completed).await?;
        world
            .eventually("more audits", async || Ok((running.figure(completed).await? > told_at + 2).then_some(())))
            .await?;
        world.event("AuditOrphanNumbers", &[&orphan]).await?;
        world.event("AuditNumberGone", &[&lost]).await?;
        world.event("AuditTagHeldTwice", &[TWICE]).await?;
        // The ledger is what the orphan's event is about.
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", world.space.namespace);
        let events = world.space.send("GET", &path, &[], &Value::Null).await?;
        let about = events["items"].as_array().into_iter().flatten().find(|e| e["reason"] == "AuditOrphanNumbers");
        let about = about.and_then(|event| event.pointer("/regarding/name"));
        assert_eq!(about, Some(&json!("clinic-phone-operator-ledger")));

        // The number of the deleted resource, and nothing else, became what it is without any help.
        assert_eq!((world.sold(), world.released(), world.twilio.numbers()), sold, "the audit wrote nothing at Twilio");
        assert!(running.child.terminate(std::time::Duration::from_secs(30))?.success());
        let log = std::fs::read_to_string(&op.log)?;
        let told: Vec<_> = log.lines().filter(|line| line.contains("orphan number: ")).collect();
        assert_eq!(told.len(), 1, "{told:#?}");
        let line: Value = serde_json::from_str(told[0])?;
        assert_eq!((&line["number"], &line["monthly_cost"]), (&json!(orphan), &json!("1.15 USD")));
        no_credential(&op.world, &log);
        Ok(())
    })
}

/// An alert does not end because Twilio is down.
#[test]
fn what_was_found_stands_while_twilio_is_down() -> Outcome {
    let options = Options { everywhere: true, ..Options::default() };
    installed_with(options, &[&["--audit-interval", "1s"], &SHORT[..]].concat(), async |op| {
        let label = format!("{} gone", op.world.mark("gone", false)?);
        op.world.hold(&op.world.account, &json!([{"phoneNumber": ABANDONED, "friendlyName": label}]))?;
        op.world.create("reception", json!({"suspend": true})).await?;
        let running = op.start().await?;
        let orphans = "clinic_phone_operator_audit_findings{kind=\"orphan\"}";
        let failures = "clinic_phone_operator_audit_failures_total";
        let world = &op.world;
        world.eventually(orphans, async || Ok((running.figure(orphans).await.ok() == Some(1)).then_some(()))).await?;
        world.twilio.put_faults(vec![FaultSpec::always("*", Fault::Http503)]);
        world.eventually(failures, async || Ok((running.figure(failures).await? >= 2).then_some(()))).await?;
        assert_eq!(running.figure(orphans).await?, 1);
        assert_eq!(running.figure("clinic_phone_operator_audit_findings{kind=\"not_audited\"}").await?, 1);
        // Mended by hand, it ends.
        world.twilio.put_faults(vec![]);
        world.console(&world.account, ABANDONED, None).await?;
        world.eventually(orphans, async || Ok((running.figure(orphans).await? == 0).then_some(()))).await?;
        assert_eq!(running.figure("clinic_phone_operator_audit_idle_numbers").await?, 0);
        drop(running);
        Ok(())
    })
}

#[test]
fn an_interval_of_zero_audits_nothing() -> Outcome {
    installed_with(Options::default(), &["--audit-interval", "0"], async |op| {
        let running = op.start().await?;
        op.world.create("reception", json!({})).await?;
        op.world.ready("reception").await?;
        assert_eq!(running.figure("clinic_phone_operator_audit_last_completed_timestamp_seconds").await?, 0);
        assert!(running.child.terminate(std::time::Duration::from_secs(30))?.success());
        let log = std::fs::read_to_string(&op.log)?;
        assert!(!log.contains("audited"), "{log}");
        Ok(())
    })
}
