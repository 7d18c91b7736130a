//! A random source: services, databases, dashboards, drives, users and queries, with updates, repeats and life cycles.

use std::collections::VecDeque;

use fastrand::Rng;
use openmetadata_bulksink::engine::Fqn;

use crate::stream::{Draft, Stream, Temper};

/// Bodies, in the order in which a source would yield them.
struct Source<'a> {
    rng: &'a mut Rng,
    stream: Stream,
    left: usize,
    /// Share of bodies that the server does not like, in thousandths.
    ill: u32,
    /// What many bodies are like, and how many of a hundred.
    mood: Option<(Temper, u32)>,
    sizes: usize,
}

/// Up to about so many bodies, in the order in which a source yields them, or out of it.
pub fn stream(rng: &mut Rng, most: usize) -> Stream {
    let ill = *rng.choice(&[0, 0, 10, 50, 300]).unwrap();
    let sizes = *rng.choice(&[60, 300, 2000]).unwrap();
    let moods = [
        Temper::Offensive,
        Temper::Offensive,
        Temper::RefusedAlike,
        Temper::Shy(2),
        Temper::Silent(1),
    ];
    let mood = rng.choice(moods);
    let mood = mood
        .filter(|_| rng.u8(0..8) == 0)
        .map(|mood| (mood, if rng.bool() { 50 } else { 90 }));
    let mut source = Source {
        stream: Stream::default(),
        left: rng.usize(1..=most),
        ill,
        mood,
        sizes,
        rng,
    };
    let services = ["svc", "\"tw.in\"", "third"];
    for service in services {
        source.stay("databases_service", service);
    }
    while source.left > 0 {
        let service = services[source.rng.usize(0..services.len())];
        match source.rng.u8(0..100) {
            0..60 => source.database(service),
            60..78 => source.dashboards(),
            78..88 => source.directories(),
            88..91 => source.users(),
            91..96 => source.tags(),
            _ => source.queries(service),
        }
    }
    source.updates_and_life_cycles();
    let Source { mut stream, rng, .. } = source;
    disorder(&mut stream, rng);
    if rng.u8(0..4) == 0 {
        for entity in &mut stream.entities {
            entity.there_before |= rng.u8(0..3) == 0;
        }
    }
    stream
}

impl Source<'_> {
    fn odds(&mut self, one_in: u32) -> bool {
        self.rng.u32(0..one_in) == 0
    }

    /// An entity that is on the server already.
    fn stay(&mut self, collection: &'static str, fqn: &str) {
        let entity = self.stream.entity(collection, fqn);
        self.stream.entities[entity].there_before = true;
    }

    fn temper(&mut self) -> Temper {
        if let Some((mood, share)) = self.mood {
            if self.rng.u32(0..100) < share {
                return mood;
            }
        }
        if self.rng.u32(0..1000) >= self.ill {
            return Temper::Good;
        }
        let times = self.rng.u8(1..4);
        match self.rng.u8(0..14) {
            0..3 => Temper::Refused,
            3 => Temper::RefusedAlike,
            4 => Temper::RefusedMutely,
            5 => Temper::RowError,
            6..8 => Temper::Shy(times),
            8..10 => Temper::Deadlock(times),
            10 => Temper::Silent(if times == 1 { 1 } else { 200 }),
            11 => Temper::Toxic,
            12 => Temper::Offensive,
            _ => Temper::Duplicate,
        }
    }

    fn yields(&mut self, mut draft: Draft) -> usize {
        draft.size = self.rng.usize(0..=self.sizes);
        if draft.temper == Temper::Good {
            draft.temper = self.temper();
        }
        draft.unhashed = self.odds(10);
        if self.odds(8) {
            let parts: Vec<String> = draft.fqn.split('.').map(|part| format!("\"{part}\"")).collect();
            if !draft.fqn.contains('"') {
                draft.spelled = Some(parts.join("."));
            }
        }
        self.left = self.left.saturating_sub(1);
        let number = self.stream.create(draft);
        self.stream.arrivals.push(number);
        number
    }

    fn database(&mut self, service: &str) {
        let database = format!("{service}.db{}", self.rng.u8(0..3));
        self.yields(Draft {
            collection: "databases",
            fqn: database.clone(),
            parent: Some(("databases_service", service.to_owned())),
            ..Draft::default()
        });
        for schema in 0..self.rng.usize(1..4) {
            if self.left == 0 {
                return;
            }
            let schema = if self.odds(6) {
                format!("{database}.\"sch.{schema}\"")
            } else {
                format!("{database}.s{schema}")
            };
            // Now and then a schema never comes.
            if !self.odds(25) {
                self.yields(Draft {
                    collection: "databaseSchemas",
                    fqn: schema.clone(),
                    parent: Some(("databases", database.clone())),
                    ..Draft::default()
                });
            }
            self.tables(&schema);
        }
    }

    fn tables(&mut self, schema: &str) {
        let tables = self.rng.usize(0..=self.left.min(60));
        let table = |at: usize| format!("{schema}.t{at}");
        let keys = self.rng.u8(0..6);
        let in_bodies = self.rng.bool();
        for at in 0..tables {
            let mut fqn = table(at);
            if self.odds(20) {
                fqn = format!("{schema}.T{at}");
            }
            let mut needs = Vec::new();
            match keys {
                0 if at > 0 => needs.push(("tables", table(at - 1))),
                1 => needs.push(("tables", table(0))),
                2 if self.odds(3) => needs.push(("tables", table(self.rng.usize(0..tables)))),
                3 if self.odds(10) => {
                    // Two tables that refer to each other.
                    needs.push(("tables", table(if at % 2 == 0 { at + 1 } else { at - 1 })));
                }
                _ => {}
            }
            let mut hidden = Vec::new();
            if self.odds(40) {
                hidden.push(("users", format!("user{}", self.rng.u8(0..4))));
            }
            let procedure = self.odds(15);
            self.yields(Draft {
                collection: if procedure { "storedProcedures" } else { "tables" },
                fqn,
                parent: Some(("databaseSchemas", schema.to_owned())),
                keys: if in_bodies && !procedure {
                    needs.clone()
                } else {
                    Vec::new()
                },
                needs: if in_bodies || procedure { Vec::new() } else { needs },
                hidden,
                ..Draft::default()
            });
        }
    }

    fn dashboards(&mut self) {
        self.stay("dashboard_service", "bi");
        let parent = Some(("dashboard_service", "bi".to_owned()));
        for _ in 0..self.rng.usize(1..=self.left.clamp(1, 12)) {
            let number = self.rng.u8(0..40);
            // Charts and dashboards are numbered by the tool: equal names in different collections.
            let charts: Vec<String> = (0..self.rng.usize(0..4))
                .map(|_| format!("bi.{}", self.rng.u8(0..40)))
                .collect();
            let model = format!("bi.model{}", self.rng.u8(0..5));
            let with_model = self.odds(3);
            let mut needs: Vec<(&'static str, String)> = charts.iter().map(|chart| ("charts", chart.clone())).collect();
            if with_model {
                needs.push(("dashboard/datamodels", model.clone()));
                self.yields(Draft {
                    collection: "dashboard/datamodels",
                    fqn: model,
                    parent: parent.clone(),
                    first_wins: true,
                    ..Draft::default()
                });
            }
            let never = self.odds(6);
            let mut order: VecDeque<Draft> = charts
                .iter()
                .filter(|_| !never)
                .map(|chart| Draft {
                    collection: "charts",
                    fqn: chart.clone(),
                    parent: parent.clone(),
                    ..Draft::default()
                })
                .collect();
            let dashboard = Draft {
                collection: "dashboards",
                fqn: format!("bi.{number}"),
                parent: parent.clone(),
                needs,
                ..Draft::default()
            };
            if self.odds(3) {
                order.push_front(dashboard);
            } else {
                order.push_back(dashboard);
            }
            for draft in order {
                self.yields(draft);
            }
        }
    }

    fn directories(&mut self) {
        self.stay("drive_service", "drv");
        let mut path = "drv".to_owned();
        let mut parent = ("drive_service", path.clone());
        for _ in 0..self.rng.usize(1..6) {
            path = format!("{path}.d{}", self.rng.u8(0..3));
            self.yields(Draft {
                collection: "drives/directories",
                fqn: path.clone(),
                parent: Some(parent),
                ..Draft::default()
            });
            parent = ("drives/directories", path.clone());
            for file in 0..self.rng.usize(0..3) {
                self.yields(Draft {
                    collection: "drives/files",
                    fqn: format!("{path}.f{file}"),
                    parent: Some(parent.clone()),
                    ..Draft::default()
                });
            }
        }
    }

    fn users(&mut self) {
        for _ in 0..self.rng.usize(1..4) {
            let name = *self.rng.choice(&["user", "User", "USER"]).unwrap();
            let number = self.rng.u8(0..6);
            self.yields(Draft {
                collection: "users",
                fqn: format!("{name}{number}"),
                ..Draft::default()
            });
        }
    }

    /// Classifications and tags, the same ones again and again; now and then one is changed, or written by other means.
    fn tags(&mut self) {
        let mut made: Vec<usize> = Vec::new();
        for _ in 0..self.rng.usize(1..=self.left.clamp(1, 20)) {
            if !made.is_empty() && self.odds(2) {
                self.left = self.left.saturating_sub(1);
                let again = *self.rng.choice(&made).unwrap();
                self.stream.arrivals.push(again);
                continue;
            }
            let group = format!("group{}", self.rng.u8(0..2));
            let known = made
                .iter()
                .filter_map(|tag| self.stream.specs[*tag].first)
                .find(|first| {
                    let entity = self.stream.specs[*first].entity;
                    self.stream.entities[entity].key.as_str() == group
                });
            let first = match known.filter(|_| !self.odds(6)) {
                Some(first) => first,
                None => {
                    let mut hidden = Vec::new();
                    if self.odds(8) {
                        hidden.push(("domains", format!("domain{}", self.rng.u8(0..2))));
                    }
                    let (size, temper) = (self.rng.usize(0..=self.sizes), self.temper());
                    self.stream.create(Draft {
                        collection: "classifications",
                        fqn: group.clone(),
                        once: true,
                        hidden,
                        size,
                        temper,
                        ..Draft::default()
                    })
                }
            };
            let plain = self.odds(10);
            let fqn = format!("{group}.tag{}", self.rng.u8(0..4));
            let tag = self.yields(Draft {
                collection: "tags",
                fqn,
                parent: Some(("classifications", group)),
                once: !plain,
                first: (!plain).then_some(first),
                ..Draft::default()
            });
            if !plain {
                made.push(tag);
            }
        }
        if self.odds(3) {
            let fqn = format!("domain{}", self.rng.u8(0..2));
            self.yields(Draft {
                collection: "domains",
                fqn,
                ..Draft::default()
            });
        }
    }

    fn queries(&mut self, service: &str) {
        for _ in 0..self.rng.usize(1..=self.left.clamp(1, 8)) {
            let checksum = self.rng.u8(0..20);
            let known = self.stream.find("queries", &format!("{service}.{checksum}")).is_some();
            let temper = if known && self.odds(4) {
                Temper::Duplicate
            } else {
                Temper::Good
            };
            self.yields(Draft {
                collection: "queries",
                fqn: format!("{service}.{checksum}"),
                parent: Some(("databases_service", service.to_owned())),
                first_wins: true,
                temper,
                ..Draft::default()
            });
        }
    }

    /// Entities that are written more than once, and life cycles: after, before and without their entity.
    fn updates_and_life_cycles(&mut self) {
        let updates = *self.rng.choice(&[0, 0, 20, 4]).unwrap();
        let life_cycles = *self.rng.choice(&[0, 0, 10, 2, 1]).unwrap();
        let arrivals = std::mem::take(&mut self.stream.arrivals);
        for number in arrivals {
            let entity = self.stream.specs[number].entity;
            if life_cycles > 0 && self.odds(life_cycles * 6) {
                let early = self.stream.life_cycle(entity, Temper::Good);
                self.stream.arrivals.push(early);
            }
            self.stream.arrivals.push(number);
            if updates > 0 && self.odds(updates) {
                let next = if self.odds(3) { number } else { self.updated(number) };
                self.later(next);
                if self.odds(3) {
                    self.later(number);
                }
            }
            if life_cycles > 0 && self.odds(life_cycles) {
                let temper = if self.rng.u32(0..1000) < self.ill {
                    Temper::Refused
                } else {
                    Temper::Good
                };
                let life_cycle = self.stream.life_cycle(entity, temper);
                self.later(life_cycle);
                if self.odds(5) {
                    let second = self.stream.life_cycle(entity, Temper::Good);
                    self.later(second);
                }
            }
        }
        if life_cycles > 0 {
            for at in 0..self.rng.usize(0..3) {
                let entity = self.stream.entity("tables", &format!("svc.db0.old.t{at}"));
                self.stream.entities[entity].there_before = self.rng.bool();
                let life_cycle = self.stream.life_cycle(entity, Temper::Good);
                self.later(life_cycle);
            }
        }
    }

    fn later(&mut self, number: usize) {
        if self.odds(2) {
            self.stream.arrivals.push(number);
        } else {
            let at = self.rng.usize(0..=self.stream.arrivals.len());
            let at = at.max(self.stream.arrivals.len().saturating_sub(30));
            self.stream.arrivals.insert(at, number);
        }
    }

    /// Another body for the same entity.
    fn updated(&mut self, number: usize) -> usize {
        let (collection, draft) = {
            let spec = &self.stream.specs[number];
            let entity = &self.stream.entities[spec.entity];
            let fqn = entity.key.as_str().to_owned();
            let refers = |fqn: &Fqn| {
                let known = spec
                    .refers
                    .iter()
                    .find(|entity| self.stream.entities[**entity].key == *fqn)?;
                Some((&self.stream.entities[*known].collection, fqn.as_str().to_owned()))
            };
            (
                entity.collection.clone(),
                (
                    fqn,
                    spec.parent.as_ref().and_then(refers).map(|(c, f)| (c.clone(), f)),
                    spec.first_wins,
                ),
            )
        };
        let (fqn, parent, first_wins) = draft;
        let temper = self.temper();
        self.stream.create(Draft {
            collection: path(&collection),
            fqn,
            parent: parent.map(|(collection, fqn)| (path(&collection), fqn)),
            first_wins,
            size: self.rng.usize(0..=self.sizes),
            temper,
            ..Draft::default()
        })
    }
}

fn path(collection: &str) -> &'static str {
    const PATHS: [&str; 16] = [
        "databases_service",
        "dashboard_service",
        "drive_service",
        "databases",
        "databaseSchemas",
        "tables",
        "storedProcedures",
        "queries",
        "charts",
        "dashboards",
        "dashboard/datamodels",
        "drives/directories",
        "users",
        "classifications",
        "tags",
        "domains",
    ];
    PATHS
        .into_iter()
        .find(|path| *path == collection)
        .unwrap_or("drives/files")
}

/// Some records come earlier than their parents, and some of them far too early.
fn disorder(stream: &mut Stream, rng: &mut Rng) {
    let one_in = *rng.choice(&[0, 0, 0, 50, 10, 2]).unwrap();
    if one_in == 0 {
        return;
    }
    let count = stream.arrivals.len();
    for at in 0..count {
        if rng.usize(0..one_in) == 0 {
            let other = rng.usize(0..count);
            let number = stream.arrivals.remove(at);
            stream.arrivals.insert(other.min(count - 1), number);
        }
    }
}
