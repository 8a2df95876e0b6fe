// SPDX-License-Identifier: GPL-2.0

//! Records of guests with Linux 7.3.4, of the mainline form and with the seed patch.
//!
//! A child's munmap fails with -EAGAIN (call 0). Then it is killed and held on its way out, and
//! `process_mrelease` is called with a callback that returns -EAGAIN (calls 1 to 10) and -EBUSY
//! (calls 11 and 12, of more). The `.kmsg` files have the records as they were read, the `.log`
//! files the module's log.

use mn_inject::kmsg::Record;
use mn_inject::model::{
    Arming, AttachedNotifier, Call, Context, Count, Counters, End, Expectation, Form, Initiator,
    Notifier, NotifierEvent, NotifierKind, Observation, Recognised, Remains, Verdict, Window,
};
use mn_inject::oracle::judge;

const SEED: (&str, &str) = (
    include_str!("../data/seed-7.3.4.kmsg"),
    include_str!("../data/seed-7.3.4.log"),
);
const MAINLINE: (&str, &str) = (
    include_str!("../data/mainline-7.3.4.kmsg"),
    include_str!("../data/mainline-7.3.4.log"),
);

fn records(text: &str) -> Vec<Record> {
    text.lines().map(|raw| raw.parse().unwrap()).collect()
}

fn call(line: &str) -> Call {
    let field = |key: &str| {
        let fields = line.split(' ').filter_map(|field| field.split_once('='));
        fields.into_iter().find(|(k, _)| *k == key).unwrap().1
    };
    let hex = |key: &str| u64::from_str_radix(field(key).strip_prefix("0x").unwrap(), 16).unwrap();
    Call {
        notifier: 0,
        seq: field("seq").parse().unwrap(),
        time_ns: field("time_ns").parse().unwrap(),
        event: NotifierEvent::from_name(field("event")).unwrap(),
        start: hex("start"),
        end: hex("end"),
        context: match field("context") {
            "blockable" => Context::Blockable,
            "nonblockable" => Context::NonBlockable,
            other => panic!("{other}"),
        },
        tid: field("tid").parse().unwrap(),
        comm: field("comm").into(),
        // The recorded version of the module did not log the other fields.
        injected: field("returned") != "0",
        returned: field("returned").parse().unwrap(),
        cur_seq: 0,
        owner: Some(false),
        callers: Vec::new(),
    }
}

fn observation(name: &str, calls: &[Call]) -> Observation {
    let count = calls.len() as u64;
    Observation {
        scenario: name.into(),
        notifiers: vec![AttachedNotifier {
            notifier: Notifier {
                kind: NotifierKind::Plain,
                arming: Arming::Fail(calls[0].returned),
                is_elsewhere: false,
            },
            counters: Counters {
                calls: count,
                injected: count,
                ends: 0,
                overwritten: 0,
            },
        }],
        expectation: Expectation {
            event: calls[0].event,
            last_event: None,
            context: calls[0].context,
            calls: Count::Exactly(count),
            extent: None,
            outcome: 0,
            reaper: None,
            pages: None,
            is_atomic: false,
            said: Vec::new(),
            judges_symptoms: false,
            end: End::There,
        },
        pid: 35,
        comm: "init".into(),
        initiator: Initiator::Thread(calls[0].tid),
        watched: (0, u64::MAX),
        calls: calls.to_vec(),
        later: Vec::new(),
        pages: None,
        steps: Vec::new(),
        remains: Remains {
            stuck: Vec::new(),
            reads: Some(true),
            mm: Some((0, 1)),
            flushes: Some(0),
        },
        actors: Vec::new(),
        outcome: 0,
        trouble: None,
        millis: 1,
    }
}

fn window((kmsg, log): (&str, &str)) -> Window {
    let calls: Vec<Call> = log.lines().map(call).collect();
    let records = records(kmsg);
    let warns = kmsg.matches(";WARNING: ").count() as u64;
    Window {
        observations: vec![
            observation("munmap", &calls[..1]),
            observation("mrelease-eagain", &calls[1..11]),
            observation("mrelease-ebusy", &calls[11..]),
        ],
        records,
        lost: None,
        warn_count: Some((0, warns)),
        total_entries: (0, calls.len() as u64),
    }
}

#[test]
fn recorded_records_are_parsed() {
    for (kmsg, _) in [SEED, MAINLINE] {
        let records = records(kmsg);
        assert_eq!((records[0].facility, records[0].level), (1, 6));
        assert!(!records[0].is_kernel());
        assert_eq!(records[0].text, "user space says hello");
        assert!(records[1..].iter().all(Record::is_kernel));
        for (record, seq) in records.iter().zip(records[0].seq..) {
            assert_eq!(record.seq, seq);
        }
        for two in records.windows(2) {
            assert!(two[0].time_us <= two[1].time_us);
        }
        assert_eq!(records[1].level, 6);
        assert_eq!(records[1].caller.as_deref(), Some("T35"));
    }
}

#[test]
fn recorded_kernels_pass_in_their_form() {
    for (recorded, form, matched) in [
        (SEED, Recognised::Seed, [2, 10, 2]),
        (MAINLINE, Recognised::Mainline, [2, 10, 4]),
    ] {
        let judgement = judge(&[window(recorded)], None);
        assert_eq!(judgement.form, form);
        assert_eq!(judgement.form_verdict, Verdict::Pass);
        for (result, matched) in judgement.results.iter().zip(matched) {
            assert_eq!(result.verdict, Verdict::Pass, "{}", result.name);
            assert_eq!(result.matched.len(), matched, "{}", result.name);
            assert_eq!(result.foreign, [""; 0]);
        }
    }
}

#[test]
fn recorded_kernels_fail_in_the_other_form() {
    for (recorded, demanded) in [(SEED, Some(Form::Mainline)), (MAINLINE, Some(Form::Seed))] {
        let judgement = judge(&[window(recorded)], demanded);
        assert!(matches!(judgement.form_verdict, Verdict::Fail { .. }));
        assert!(matches!(judgement.results[0].verdict, Verdict::Fail { .. }));
        // Both forms print the same about -EAGAIN in non-blockable context.
        assert_eq!(judgement.results[1].verdict, Verdict::Pass);
        assert!(matches!(judgement.results[2].verdict, Verdict::Fail { .. }));
    }
}

#[test]
fn each_missing_recorded_line_is_found() {
    for recorded in [SEED, MAINLINE] {
        let whole = window(recorded);
        let ours: Vec<usize> = (0..whole.records.len())
            .filter(|at| {
                let text = &whole.records[*at].text;
                text.starts_with("mmu_notifier_inject") || text.starts_with("WARNING: ")
            })
            .collect();
        assert!(ours.len() >= 14);
        for at in ours {
            let mut window = whole.clone();
            let record = window.records.remove(at);
            if let Some((_, after)) = &mut window.warn_count
                && record.text.starts_with("WARNING: ")
            {
                *after -= 1;
            }
            let judgement = judge(&[window], None);
            let failed = judgement
                .results
                .iter()
                .any(|r| matches!(r.verdict, Verdict::Fail { .. }));
            assert!(failed, "{}", record.text);
        }
    }
}
