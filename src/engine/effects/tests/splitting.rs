//! Batches that are sent again in parts.

use crate::engine::request::{Call, Fault};
use crate::engine::testing::{
    all_written, create, eager, endings, fault, next_request, only_reason, request, respond, rows, s, submit_tables,
};

#[test]
fn a_batch_that_takes_too_long_is_halved_at_once() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 10, s(0));
    let first = request(&mut engine, s(0));
    fault(&mut engine, &first, Fault::ReadTimeout("200 s".into()), s(200));
    let mut now = s(200);
    let half = next_request(&mut engine, &mut now);
    assert!(now < s(202) && rows(&half) == 5, "{now:?}");
    let other = request(&mut engine, now);
    all_written(&mut engine, &half, s(250));
    fault(&mut engine, &other, Fault::ReadTimeout("200 s".into()), s(400));
    // Past the deadline their results are looked up; then they have one more attempt in halves, since others were served.
    let mut now = s(400);
    for _ in 0..5 {
        let look_up = next_request(&mut engine, &mut now);
        assert!(matches!(look_up.call, Call::Get { .. }));
        respond(
            &mut engine,
            &look_up,
            404,
            r#"{"message":"table instance for x not found"}"#,
            now,
        );
    }
    for size in [2, 3] {
        let half = next_request(&mut engine, &mut now);
        assert_eq!(rows(&half), size);
        all_written(&mut engine, &half, now);
    }
    assert_eq!(endings(&mut engine), "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10");
}

#[test]
fn a_batch_that_is_past_its_deadline_after_one_attempt_has_another_in_halves() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 10, s(0));
    let first = request(&mut engine, s(0));
    fault(&mut engine, &first, Fault::ReadTimeout("310 s".into()), s(310));
    let mut now = s(310);
    for _ in 0..10 {
        let look_up = next_request(&mut engine, &mut now);
        assert!(matches!(look_up.call, Call::Get { .. }));
        let text = r#"{"message":"table instance for x not found"}"#;
        respond(&mut engine, &look_up, 404, text, now);
    }
    for _ in 0..2 {
        let half = next_request(&mut engine, &mut now);
        assert_eq!(rows(&half), 5);
        all_written(&mut engine, &half, now);
    }
    assert_eq!(endings(&mut engine).matches('w').count(), 10);
}

#[test]
fn three_equal_errors_split_a_batch_until_the_cause_stands_alone() {
    let mut engine = eager(1, 4);
    submit_tables(&mut engine, 4, s(0));
    let mut now = s(0);
    let mut sizes = Vec::new();
    while engine.stats(now).written < 3 {
        let sent = next_request(&mut engine, &mut now);
        sizes.push(rows(&sent));
        let Call::PutBulk { rows, .. } = &sent.call else {
            panic!("{sent:?}")
        };
        if rows.iter().any(|row| row.windows(4).any(|part| part == b"s.t2")) {
            respond(&mut engine, &sent, 500, "", now);
        } else {
            all_written(&mut engine, &sent, now);
        }
    }
    assert_eq!(sizes[..4], [4, 4, 4, 1], "one alone tells whose fault it is: {sizes:?}");
    assert!(sizes.len() <= 16 && now < s(60), "{sizes:?} {now:?}");
    assert_eq!(engine.stats(now).pending, 1);
}

#[test]
fn a_body_that_is_too_large_is_halved_and_the_size_is_remembered() {
    let mut engine = eager(1, 100);
    submit_tables(&mut engine, 8, s(0));
    let whole = request(&mut engine, s(0));
    respond(&mut engine, &whole, 413, "<html>", s(0));
    for _ in 0..2 {
        let half = request(&mut engine, s(0));
        assert_eq!(rows(&half), 4);
        all_written(&mut engine, &half, s(0));
    }
    assert_eq!(endings(&mut engine).matches('w').count(), 8);
    submit_tables(&mut engine, 8, s(1));
    assert!(rows(&request(&mut engine, s(1))) <= 4);
}

#[test]
fn a_record_that_is_too_large_alone_is_lost_with_its_size() {
    let mut engine = eager(1, 100);
    submit_tables(&mut engine, 1, s(0));
    let sent = request(&mut engine, s(0));
    respond(&mut engine, &sent, 413, "", s(0));
    let reason = only_reason(&mut engine);
    assert!(
        reason.contains("its body has 38 bytes") && reason.contains("413"),
        "{reason}"
    );
}

#[test]
fn while_rows_may_be_what_nothing_is_served_for_collections_take_turns() {
    let mut engine = eager(1, 100);
    submit_tables(&mut engine, 100, s(0));
    let mut now = s(0);
    for cut in [Fault::NotSent, Fault::Closed, Fault::Broken] {
        let sent = next_request(&mut engine, &mut now);
        assert_eq!(rows(&sent), 100);
        fault(&mut engine, &sent, cut("reset".into()), now);
    }
    engine.submit(create("storedProcedures", "s.p0", None), now);
    let other = next_request(&mut engine, &mut now);
    assert!(matches!(&other.call, Call::PutBulk { collection, .. } if &**collection == "storedProcedures"));
    all_written(&mut engine, &other, now);
    assert_eq!(endings(&mut engine), "w101");
}
