fn main() {
    let mut words = std::env::args().skip(1).map(|w| w.parse::<u64>().unwrap());
    let hosts = words.next().unwrap() as usize;
    let first = words.next().unwrap();
    let seeds = words.next().unwrap();
    let told = words.next().is_some();
    let start = std::time::Instant::now();
    let (mut events, mut rollouts) = (0, 0);
    for seed in first..first + seeds {
        let t = std::time::Instant::now();
        let ran = echelon_sim::run(echelon_sim::Setup { seed, hosts, told, until: None });
        events += ran.events;
        rollouts += ran.rollouts;
        for line in ran.lines { println!("{line}"); }
        if let Some(v) = ran.violation { println!("seed {seed}: {v}"); }
        if seeds < 20 { println!("{seed} {} events {} rollouts {:?} {:x}", ran.events, ran.rollouts, t.elapsed(), ran.hash); }
    }
    let took = start.elapsed().as_secs_f64();
    println!("{seeds} seeds, {hosts} hosts, {events} events, {rollouts} rollouts, {took:.1} s, {:.2} seeds/s", seeds as f64 / took);
}
