//! Tables that are refused for a foreign key: written without it, and whole once more (E3).

use crate::engine::record::{Ending, Fqn, Payload, Record};
use crate::engine::request::{Call, Request};
use crate::engine::testing::{
    all_written, create, eager, endings, fault, is_patch, life_cycle, outcomes, request, requests, s, some_refused,
};
use crate::engine::{Engine, Fault, Scope};

/// A table with a foreign key to another one.
fn keyed(fqn: &str, other: &str) -> Record {
    let body = format!(
        r#"{{"name":{fqn:?},"sourceHash":"1","tableConstraints":[{{"columns":["c"],"referredColumns":["{other}.c"]}}]}}"#
    );
    Record {
        needs: vec![Fqn::canonical(other)],
        payload: Payload::Create(body.into()),
        ..create("tables", fqn, None)
    }
}

/// The bodies that a request carries.
fn bodies(request: &Request) -> Vec<String> {
    let rows = match &request.call {
        Call::PutBulk { rows, .. } => rows.clone(),
        Call::PutOne { row, .. } => vec![row.clone()],
        other => panic!("{other:?}"),
    };
    rows.iter()
        .map(|row| String::from_utf8(row.to_vec()).unwrap())
        .collect()
}

fn is_whole(body: &str) -> bool {
    body.contains("referredColumns") && body.contains("sourceHash")
}

fn is_bare(body: &str) -> bool {
    !body.contains("referredColumns") && !body.contains("sourceHash")
}

fn refuse(engine: &mut Engine, sent: &Request, table: &str, missing: &str) {
    let text = format!("table instance for {missing} not found");
    some_refused(engine, sent, &[(table, 400, &text)], s(1));
}

/// The table `s.t` was refused for its key to `s.u`, and was written without it.
fn written_in_part(engine: &mut Engine) {
    engine.submit(keyed("s.t", "s.u"), s(0));
    let sent = request(engine, s(0));
    assert!(is_whole(&bodies(&sent)[0]));
    refuse(engine, &sent, "s.t", "s.u");
    let sent = request(engine, s(1));
    assert!(is_bare(&bodies(&sent)[0]), "{:?}", bodies(&sent));
    all_written(engine, &sent, s(1));
}

fn only_part(engine: &mut Engine) -> (String, String) {
    match outcomes(engine).as_slice() {
        [outcome] => match &outcome.ending {
            Ending::WrittenInPart(reason) => {
                let body = outcome.body.as_deref().unwrap();
                (reason.to_string(), String::from_utf8(body.to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        },
        others => panic!("{others:?}"),
    }
}

#[test]
fn a_table_without_its_key_keeps_nobody_waiting_and_goes_whole_when_the_other_is_there() {
    let mut engine = eager(4, 10);
    written_in_part(&mut engine);
    assert_eq!(engine.stats(s(1)).parked, 1);
    assert!(engine
        .wait_for(
            &Scope::Name {
                fqn: Fqn::canonical("s.t"),
                subtree: false,
                up_to: 9
            },
            s(1)
        )
        .is_none());
    life_cycle(&mut engine, "s.t", 7, s(1));
    let patch = request(&mut engine, s(1));
    assert!(is_patch(&patch));
    all_written(&mut engine, &patch, s(1));
    assert_eq!(endings(&mut engine), "w2", "the table has no outcome yet");
    engine.submit(create("tables", "s.u", None), s(2));
    let sent = request(&mut engine, s(2));
    all_written(&mut engine, &sent, s(2));
    let whole = request(&mut engine, s(2));
    assert!(is_whole(&bodies(&whole)[0]));
    all_written(&mut engine, &whole, s(2));
    assert_eq!(endings(&mut engine), "w3 w1");
}

#[test]
fn two_tables_that_name_each_other_are_both_whole_in_the_end() {
    let mut engine = eager(1, 10);
    engine.submit(keyed("s.a", "s.b"), s(0));
    let first = request(&mut engine, s(0));
    engine.submit(keyed("s.b", "s.a"), s(0));
    refuse(&mut engine, &first, "s.a", "s.b");
    let mut sent = Vec::new();
    while let Some(next) = engine.poll_request(s(1)) {
        sent.push(bodies(&next).concat());
        all_written(&mut engine, &next, s(1));
    }
    assert!(
        is_bare(&sent[0]) && sent[1..].iter().all(|body| is_whole(body)),
        "{sent:?}"
    );
    assert_eq!(endings(&mut engine), "w2 w1");
}

#[test]
fn where_the_other_table_is_lost_the_key_is_and_nothing_else() {
    let mut engine = eager(1, 10);
    engine.submit(create("tables", "s.u", None), s(0));
    let sent = request(&mut engine, s(0));
    some_refused(&mut engine, &sent, &[("s.u", 400, "no such thing")], s(0));
    assert_eq!(endings(&mut engine), "f1");
    written_in_part(&mut engine);
    let (reason, body) = only_part(&mut engine);
    let expected = "written without its foreign key to s.u: the server refused it: table instance for s.u not found";
    assert_eq!(reason, expected);
    assert!(is_whole(&body), "the letter holds all of it");
    assert_eq!(engine.stats(s(1)).written, 1);
}

#[test]
fn a_refusal_in_other_words_that_names_the_other_table_costs_the_key() {
    let mut engine = eager(1, 10);
    engine.submit(keyed("s.t", "s.u"), s(0));
    let sent = request(&mut engine, s(0));
    some_refused(&mut engine, &sent, &[("s.t", 400, "Invalid column c of s.u")], s(0));
    let bare = request(&mut engine, s(0));
    assert!(is_bare(&bodies(&bare)[0]));
    all_written(&mut engine, &bare, s(0));
    assert!(only_part(&mut engine).0.ends_with("Invalid column c of s.u"));
}

#[test]
fn a_final_drain_tries_the_key_once_more() {
    for comes in [true, false] {
        let mut engine = eager(1, 10);
        written_in_part(&mut engine);
        assert!(engine.wait_for(&Scope::FinalDrain, s(2)).is_some());
        let whole = request(&mut engine, s(2));
        assert!(is_whole(&bodies(&whole)[0]));
        if comes {
            all_written(&mut engine, &whole, s(2));
            assert_eq!(endings(&mut engine), "w1");
        } else {
            refuse(&mut engine, &whole, "s.t", "s.u");
            assert!(only_part(&mut engine).0.contains("s.u not found"));
        }
        assert!(engine.poll_wait().is_some() && requests(&mut engine, s(3)).is_empty());
    }
}

#[test]
fn what_happens_to_the_whole_form_costs_the_key_only() {
    let mut engine = eager(1, 10);
    written_in_part(&mut engine);
    engine.wait_for(&Scope::FinalDrain, s(2));
    let whole = request(&mut engine, s(2));
    fault(&mut engine, &whole, Fault::Broken("reset".into()), s(2));
    engine.abandon("the process ends");
    assert!(only_part(&mut engine)
        .0
        .starts_with("written without its foreign key to s.u: the process ends"));

    let mut engine = eager(1, 10);
    written_in_part(&mut engine);
    engine.abandon("the process ends");
    assert_eq!(
        only_part(&mut engine).0,
        "written without its foreign key to s.u: the process ends"
    );
}

#[test]
fn a_later_record_of_the_table_takes_the_place_of_what_is_owed() {
    let mut engine = eager(1, 10);
    written_in_part(&mut engine);
    engine.submit(create("tables", "s.t", None), s(2));
    assert!(only_part(&mut engine).0.contains("a later record of it came"));
    let later = request(&mut engine, s(2));
    all_written(&mut engine, &later, s(2));
    assert_eq!(endings(&mut engine), "w2");
}

#[test]
fn a_whole_form_that_was_overtaken_by_a_later_record_does_not_go_after_it() {
    let mut engine = eager(4, 10);
    written_in_part(&mut engine);
    engine.wait_for(&Scope::FinalDrain, s(2));
    let whole = request(&mut engine, s(2));
    engine.submit(create("tables", "s.t", None), s(2));
    engine.submit(create("tables", "s.u", None), s(2));
    let other = request(&mut engine, s(2));
    refuse(&mut engine, &whole, "s.t", "s.u");
    assert!(only_part(&mut engine).0.contains("a later record of it came"));
    all_written(&mut engine, &other, s(3));
    let later = request(&mut engine, s(3));
    all_written(&mut engine, &later, s(3));
    assert!(requests(&mut engine, s(3)).is_empty(), "nothing of the earlier one");
    assert_eq!(endings(&mut engine), "w3 w2");
}

#[test]
fn a_life_cycle_that_rides_with_the_table_is_not_set_twice() {
    let mut engine = Engine::new(crate::engine::Config {
        embed: crate::engine::Embed::WithOldHash,
        linger: std::time::Duration::ZERO,
        ..crate::engine::Config::default()
    });
    engine.submit(keyed("s.t", "s.u"), s(0));
    life_cycle(&mut engine, "s.t", 1, s(0));
    let sent = request(&mut engine, s(0));
    refuse(&mut engine, &sent, "s.t", "s.u");
    let bare = request(&mut engine, s(1));
    assert!(bodies(&bare)[0].contains("lifeCycle"));
    all_written(&mut engine, &bare, s(1));
    assert_eq!(endings(&mut engine), "w2", "it is there");
    engine.wait_for(&Scope::FinalDrain, s(2));
    let whole = request(&mut engine, s(2));
    assert!(
        !bodies(&whole)[0].contains("lifeCycle"),
        "another one may have been set meanwhile"
    );
    all_written(&mut engine, &whole, s(2));
    assert_eq!(endings(&mut engine), "w1");
}

#[test]
fn a_long_chain_of_keys_goes_in_few_requests_and_every_key_arrives() {
    let mut engine = eager(4, 100);
    engine.cut_chains();
    engine.submit(create("tables", "s.t0", None), s(0));
    for number in 1..100 {
        engine.submit(keyed(&format!("s.t{number}"), &format!("s.t{}", number - 1)), s(0));
    }
    let drain = engine.wait_for(&Scope::FinalDrain, s(0));
    let (mut last, mut count) = (std::collections::BTreeMap::new(), 0);
    let mut flying = requests(&mut engine, s(0));
    while !flying.is_empty() {
        for sent in std::mem::take(&mut flying) {
            count += 1;
            for body in bodies(&sent) {
                let name = body.split('"').nth(3).unwrap().to_owned();
                last.insert(name, body);
            }
            all_written(&mut engine, &sent, s(1));
        }
        flying = requests(&mut engine, s(1));
    }
    assert_eq!(engine.poll_wait(), drain);
    let ended = outcomes(&mut engine);
    assert!(
        ended.len() == 100 && ended.iter().all(|one| one.ending == Ending::Written),
        "{ended:?}"
    );
    assert!((1..100).all(|number| is_whole(&last[&format!("s.t{number}")])));
    assert!(count <= 24, "{count} requests");
}

#[test]
fn a_chain_whose_head_is_refused_costs_the_key_to_it_alone() {
    let mut engine = eager(1, 100);
    engine.cut_chains();
    engine.submit(create("tables", "s.t0", None), s(0));
    for number in 1..=4 {
        engine.submit(keyed(&format!("s.t{number}"), &format!("s.t{}", number - 1)), s(0));
    }
    let sent = request(&mut engine, s(0));
    let bare: Vec<String> = bodies(&sent).into_iter().filter(|body| is_bare(body)).collect();
    assert!(
        bare.len() == 1 && bare[0].contains("s.t4"),
        "the fifth goes beside the first: {bare:?}"
    );
    some_refused(&mut engine, &sent, &[("s.t0", 400, "name must match")], s(1));
    while let Some(sent) = engine.poll_request(s(1)) {
        match bodies(&sent).iter().find(|body| body.contains("s.t0.c")) {
            Some(_) => refuse(&mut engine, &sent, "s.t1", "s.t0"),
            None => all_written(&mut engine, &sent, s(1)),
        }
    }
    engine.close(s(1));
    let ended = outcomes(&mut engine);
    let of = |fqn: &str| ended.iter().find(|one| &*one.fqn == fqn).map(|one| one.ending.clone());
    assert!(matches!(of("s.t0"), Some(Ending::Failed(_))));
    assert!(matches!(of("s.t1"), Some(Ending::WrittenInPart(_))), "{ended:?}");
    for whole in ["s.t2", "s.t3", "s.t4"] {
        assert_eq!(of(whole), Some(Ending::Written), "{whole}");
    }
}
