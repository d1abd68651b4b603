//! What a record costs the thread that logs: disabled by level, disabled by module, and written.

use std::hint::black_box;
use std::io;

use criterion::{Criterion, criterion_group, criterion_main};
use tinykv_log::{Destination, Format, Options};

fn cost(c: &mut Criterion) {
    let options = Options {
        filter: "info,log=debug,elsewhere=trace".parse().expect("a filter"),
        format: Format::Json,
        destination: Destination::Writer(Box::new(io::sink())),
        ..Options::default()
    };
    let guard = tinykv_log::init(options).expect("the only log of this process");
    let mut group = c.benchmark_group("record");
    group.bench_function("nothing", |b| b.iter(|| black_box(7)));
    group.bench_function("logged", |b| {
        b.iter(|| tinykv_log::info!("set {}", black_box(7); "bytes" => black_box(256)));
    });
    let info: tinykv_log::Filter = "info".parse().expect("a filter");
    guard.handle().set_filter(info);
    group.bench_function("disabled by level", |b| {
        b.iter(|| tinykv_log::debug!("set {}", black_box(7); "bytes" => black_box(256)));
    });
    let elsewhere = "info,raft=debug,engine::bitcask=debug".parse().expect("a filter");
    guard.handle().set_filter(elsewhere);
    group.bench_function("disabled by module", |b| {
        b.iter(|| tinykv_log::debug!("set {}", black_box(7); "bytes" => black_box(256)));
    });
    group.finish();
}

criterion_group!(benches, cost);
criterion_main!(benches);
