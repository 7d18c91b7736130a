//! Edges, ready sets and parking, one rule at a time.

use super::*;
use crate::engine::record::Payload;

const NONE: [Sequence; 0] = [];

fn submit(order: &mut Order, collection: &str, fqn: &str, parent: Option<&str>, needs: &[&str]) -> Sequence {
    let record = Record {
        parent: parent.map(Fqn::canonical),
        needs: needs.iter().map(|need| Fqn::canonical(need)).collect(),
        ..Record::bare(collection.into(), fqn.into(), Payload::Create(fqn.to_owned().into()))
    };
    order.insert(record, Order::key(collection, fqn), None, Time::ZERO)
}

fn patch(order: &mut Order, fqn: &str) -> Sequence {
    let record = Record::bare("tables".into(), fqn.into(), Payload::LifeCycle("{}".into()));
    order.insert(record, Order::key("tables", fqn), None, Time::ZERO)
}

fn ready(order: &Order) -> Vec<Sequence> {
    let mut all: Vec<Sequence> = order.ready().flat_map(|(_, ready)| ready.iter(false)).collect();
    all.extend(order.ready_patches().iter(false));
    all.sort_unstable();
    all
}

fn urgent(order: &Order) -> Vec<Sequence> {
    let mut all: Vec<Sequence> = order.ready().flat_map(|(_, ready)| ready.iter(true)).collect();
    all.extend(order.ready_patches().iter(true));
    all
}

fn missing(collection: &str, fqn: &str) -> Missing {
    Missing::of(collection, Fqn::canonical(fqn))
}

#[test]
fn a_record_waits_for_what_it_names_and_only_for_earlier_ones() {
    let mut order = Order::default();
    let child = submit(&mut order, "tables", "s.t", Some("s"), &[]);
    let parent = submit(&mut order, "databaseSchemas", "s", None, &[]);
    let other = submit(&mut order, "tables", "s.u", Some("s"), &["s.t", "s.v"]);
    assert_eq!(ready(&order), [child, parent]);
    order.end(parent);
    assert_eq!(ready(&order), [child], "it still waits for the table that it names");
    order.end(child);
    assert_eq!(ready(&order), [other]);
}

#[test]
fn whoever_has_children_is_in_a_hurry() {
    let mut order = Order::default();
    let database = submit(&mut order, "databases", "d", None, &[]);
    let schema = submit(&mut order, "databaseSchemas", "d.s", Some("d"), &[]);
    assert_eq!(urgent(&order), [database]);
    submit(&mut order, "tables", "d.s.t", None, &["d.s"]);
    order.end(database);
    assert_eq!(ready(&order), [schema]);
    assert_eq!(urgent(&order), NONE, "to be named is no reason to hurry");
}

#[test]
fn writers_of_one_entity_go_one_after_the_other() {
    let mut order = Order::default();
    let first = submit(&mut order, "tables", "s.t", None, &[]);
    let life_cycle = patch(&mut order, "s.t");
    let second = submit(&mut order, "tables", "\"s\".t", None, &[]);
    let twin = submit(&mut order, "charts", "s.t", None, &[]);
    assert_eq!(
        ready(&order),
        [first, twin],
        "equal names in other collections are others"
    );
    order.end(first);
    assert_eq!(ready(&order), [life_cycle, twin]);
    order.end(life_cycle);
    assert_eq!(ready(&order), [second, twin]);
}

#[test]
fn users_are_one_whatever_their_case() {
    let mut order = Order::default();
    let first = submit(&mut order, "users", "Bob", None, &[]);
    submit(&mut order, "users", "bob", None, &[]);
    let table = submit(&mut order, "tables", "s.T", None, &[]);
    let other = submit(&mut order, "tables", "s.t", None, &[]);
    assert_eq!(ready(&order), [first, table, other]);
}

#[test]
fn parking_frees_dependants_but_not_writers() {
    let mut order = Order::default();
    let schema = submit(&mut order, "databaseSchemas", "d.s", None, &[]);
    let update = submit(&mut order, "databaseSchemas", "d.s", Some("x"), &[]);
    let table = submit(&mut order, "tables", "d.s.t", Some("d.s"), &[]);
    order.move_to(schema, Place::Flying);
    order.park(schema, missing("databases", "d"));
    assert_eq!(ready(&order), [table]);
    assert_eq!((order.places(), order.parked_len()), (1, 2));
    assert!(
        order.get(update).is_some_and(Entry::is_parked),
        "bodies are merged in their order"
    );
    let late = submit(&mut order, "tables", "d.s.u", Some("d.s"), &[]);
    let later = submit(&mut order, "databaseSchemas", "d.s", Some("y"), &[]);
    assert_eq!(ready(&order), [table, late], "nobody else waits for what is parked");
    order.unpark(schema);
    assert_eq!(ready(&order), [schema, table, late]);
    let entity = order.end(schema).unwrap();
    assert_eq!(order.parked_with(&entity), [update, later]);
    order.unpark(update);
    order.unpark(later);
    assert_eq!(ready(&order), [update, table, late]);
    order.end(update);
    assert!(ready(&order).contains(&later));
    assert_eq!(order.parked_len(), 0);
}

#[test]
fn what_is_parked_is_in_no_hurry() {
    let mut order = Order::default();
    let first = submit(&mut order, "tables", "s.t", None, &[]);
    let second = submit(&mut order, "tables", "s.t", Some("x"), &[]);
    order.move_to(first, Place::Flying);
    order.hurry(second);
    order.park(first, missing("databaseSchemas", "s"));
    order.unpark(first);
    assert_eq!(urgent(&order), NONE, "that wait went past both");
    order.hurry(first);
    assert_eq!(urgent(&order), [first]);
}

#[test]
fn a_parked_life_cycle_blocks_nobody_and_keeps_its_turn() {
    let mut order = Order::default();
    let old = patch(&mut order, "s.t");
    order.move_to(old, Place::Flying);
    let create = submit(&mut order, "tables", "s.t", None, &[]);
    assert_eq!(ready(&order), NONE);
    order.park(old, missing("tables", "s.t"));
    assert_eq!(ready(&order), [create]);
    let new = patch(&mut order, "s.t");
    order.move_to(create, Place::Flying);
    order.end(create);
    assert_eq!(ready(&order), [new]);
    order.unpark(old);
    assert_eq!(ready(&order), [old]);
    order.end(old);
    assert_eq!(ready(&order), [new]);
}

#[test]
fn who_comes_before_somebody_in_a_hurry_is_in_a_hurry_too() {
    let mut order = Order::default();
    let old = patch(&mut order, "s.t");
    order.move_to(old, Place::Flying);
    order.park(old, missing("tables", "s.t"));
    let new = patch(&mut order, "s.t");
    order.hurry(new);
    order.unpark(old);
    assert_eq!(urgent(&order), [old]);
}

#[test]
fn only_what_waits_for_that_kind_of_entity_is_found_by_its_name() {
    let mut order = Order::default();
    let dashboard = submit(&mut order, "dashboards", "bi.1", None, &["bi.7"]);
    order.move_to(dashboard, Place::Flying);
    order.park(dashboard, missing("charts", "bi.7"));
    let namesake = submit(&mut order, "dashboards", "bi.7", None, &[]);
    let chart = submit(&mut order, "charts", "bi.7", None, &[]);
    let of = |order: &Order, sequence| order.parked_for(order.get(sequence).unwrap());
    assert_eq!(of(&order, namesake), NONE);
    assert_eq!(of(&order, chart), [dashboard]);
    assert!(order.is_coming(&missing("charts", "bi.7"), dashboard));
    order.end(chart);
    assert!(!order.is_pending(&missing("charts", "bi.7"), dashboard));
}

#[test]
fn roots_wait_for_no_other_parked_record_unless_all_do() {
    let mut order = Order::default();
    let a = submit(&mut order, "tables", "s.a", None, &[]);
    let b = submit(&mut order, "tables", "s.b", None, &[]);
    order.move_to(a, Place::Flying);
    order.move_to(b, Place::Flying);
    order.park(b, missing("tables", "s.a"));
    order.park(a, missing("databaseSchemas", "s"));
    assert_eq!(order.parked_roots(), [a]);
    order.unpark(a);
    order.move_to(a, Place::Flying);
    order.park(a, missing("tables", "s.b"));
    assert_eq!(order.parked_roots(), [a], "one of a circle");
}

#[test]
fn a_repeat_shares_only_with_the_last_unsent_record() {
    let mut order = Order::default();
    let record = |body: &'static str, first_wins: bool| Record {
        first_wins,
        ..Record::bare("tables".into(), "s.t".into(), Payload::Create(body.into()))
    };
    let key = Order::key("tables", "s.t");
    let first = order.insert(record("a", false), key.clone(), None, Time::ZERO);
    assert_eq!(order.leader(&record("a", false), &key, None), Some(first));
    let second = order.insert(record("b", false), key.clone(), None, Time::ZERO);
    assert_eq!(
        order.leader(&record("a", false), &key, None),
        None,
        "a, b, a is not a, b"
    );
    assert_eq!(
        order.leader(&record("c", true), &key, None),
        Some(first),
        "the first wins"
    );
    order.end(first);
    order.move_to(second, Place::Flying);
    order.get_mut(second).unwrap().attempts = 1;
    assert_eq!(
        order.leader(&record("b", false), &key, None),
        None,
        "it may be refused for what is mended by now"
    );
}

#[test]
fn a_subtree_is_told_from_names_that_begin_alike() {
    let mut order = Order::default();
    let inside = submit(&mut order, "tables", "d.s.t", None, &[]);
    submit(&mut order, "tables", "d.s2.t", None, &[]);
    let itself = submit(&mut order, "databaseSchemas", "d.s", None, &[]);
    assert_eq!(order.named(&Fqn::canonical("d.s"), false), [itself]);
    let mut all = order.named(&Fqn::canonical("d.s"), true);
    all.sort_unstable();
    assert_eq!(all, [inside, itself]);
}

#[test]
fn nothing_is_kept_of_what_has_ended() {
    let mut order = Order::default();
    let parent = submit(&mut order, "databaseSchemas", "s", None, &[]);
    let child = submit(&mut order, "tables", "s.t", Some("s"), &[]);
    let parked = submit(&mut order, "tables", "s.u", None, &[]);
    order.move_to(parked, Place::Flying);
    order.park(parked, missing("users", "bob"));
    for sequence in [child, parked, parent] {
        order.end(sequence);
    }
    assert!(order.chains.is_empty() && order.parked_for.is_empty() && order.parked.is_empty());
    assert_eq!((order.len(), order.bytes(), order.places()), (0, 0, 0));
    assert_eq!(ready(&order), NONE);
}

#[test]
fn a_writer_that_ends_before_its_turn_leaves_no_gap() {
    let mut order = Order::default();
    let all: Vec<Sequence> = (0..3).map(|_| submit(&mut order, "tags", "G.a", None, &[])).collect();
    order.move_to(all[0], Place::Flying);
    order.end(all[1]);
    assert_eq!(ready(&order), NONE, "the first is still in flight");
    order.end(all[0]);
    assert_eq!(ready(&order), [all[2]]);
}
