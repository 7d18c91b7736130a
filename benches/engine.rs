//! What the engine costs by itself, without network, Python or clock: `cargo bench --bench engine`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};

#[allow(dead_code)]
mod catalogue;

/// Submit, batch, answer and outcome, per record; ten times the records must take ten times as long.
fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for tables in [1_000, 10_000, 100_000] {
        group.throughput(Throughput::Elements(tables as u64));
        group.bench_with_input(BenchmarkId::from_parameter(tables), &tables, |bencher, &tables| {
            bencher.iter(|| black_box(catalogue::write(tables)));
        });
    }
    group.finish();
}

/// Records that all wait for others, up to a million edges at once.
fn edges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("edge");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for tables in [1_000, 10_000, 100_000] {
        let (edges, _) = catalogue::pend_with_edges(tables, 9);
        group.throughput(Throughput::Elements(edges as u64));
        group.bench_with_input(BenchmarkId::from_parameter(edges), &tables, |bencher, &tables| {
            bencher.iter(|| black_box(catalogue::pend_with_edges(tables, 9)));
        });
    }
    group.finish();
}

/// A read while many records are pending: of a name that is not among them (what almost every read is), and of one that is.
fn fences(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fence");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_secs(1));
    for tables in [1_000, 100_000] {
        for (name, fence) in [
            ("not pending", catalogue::fence_on_nothing as fn(&mut _, usize) -> bool),
            ("pending", catalogue::fence_on_pending),
        ] {
            let mut engine = catalogue::pending(tables);
            let mut number = 0;
            group.bench_function(BenchmarkId::new(name, tables), |bencher| {
                bencher.iter_batched(
                    || {
                        number = (number + 7_919) % tables;
                        number
                    },
                    |number| fence(&mut engine, number),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

/// One more record while others wait for their back-off: none, and many.
fn submits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("submit, in back-off");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_secs(1));
    for waiting in [0, 100_000] {
        let mut engine = catalogue::in_back_off(waiting);
        let source = catalogue::Tables::default();
        let mut number = waiting;
        group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
            bencher.iter(|| {
                number += 1;
                black_box(catalogue::submit(&mut engine, &source, number))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, records, edges, fences, submits);
criterion_main!(benches);
