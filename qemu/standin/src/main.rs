//! `k3s`, as far as boot tests need it: see the library. A test tool, never shipped.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what kubectl prints is what it is for")]

use standin::{
    Error, Result, VERSION,
    agent::{Agent, PORTS},
    config::Config,
    kubectl, local,
    log::Log,
    places::{self, Places},
    server::Server,
    switches::Switches,
};
use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::SystemTime,
};

const PORT: u16 = 6443;
const CONFIG: &str = "/etc/rancher/k3s/config.yaml";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().collect();
    let called = words.first().map(|word| word.rsplit('/').next().unwrap_or(word).to_owned());
    // A multicall binary: `kubectl` is a link to it.
    let skip = if called.as_deref() == Some("kubectl") { 0 } else { 1 };
    let mut words: Vec<String> = words.into_iter().skip(skip).collect();
    if skip == 0 {
        "kubectl".clone_into(&mut words[0]);
    }
    let log = Log::default();
    match run(&words, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say("fatal", error);
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String], log: &Log) -> Result<()> {
    let places = Places::below("/");
    let rest = words.get(1..).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("--version" | "-v") => print!("k3s version {VERSION} (standin)\ngo version none\n"),
        Some("server") => return server(places, config(rest)?, log),
        Some("agent") => {
            let config = config(rest)?;
            return Agent { places, config, ports: PORTS, log: log.clone(), machine: true }.run();
        }
        Some("kubectl") => print!("{}", kubectl::run(&places, PORT, rest)?),
        Some("token") if rest.first().is_some_and(|word| word == "create") => {
            print!("{}", kubectl::create_token(&places)?);
        }
        // What a pod of the tests runs.
        Some("pause") => loop {
            thread::sleep(std::time::Duration::from_secs(3600));
        },
        Some("etcd-snapshot") if rest.first().is_some_and(|word| word == "save") => {
            let seconds =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let name = format!("db/snapshots/on-demand-standin-{seconds}");
            places::write(&places.server(&name), places::read(&places.server("db/nodes.json"))?)?;
            log.info(format!("Snapshot {name} saved."));
        }
        other => return Err(Error::Settings(format!("the stand-in for k3s has no command {other:?}"))),
    }
    Ok(())
}

fn config(words: &[String]) -> Result<Config> {
    let named = words.iter().position(|word| word == "--config").and_then(|at| words.get(at + 1));
    Config::read(Path::new(named.map_or(CONFIG, String::as_str)))
}

/// A server is an agent of its own cluster as well.
fn server(places: Places, config: Config, log: &Log) -> Result<()> {
    let switches = Switches::in_dir(places.path("/var/lib/standin"));
    let server = Arc::new(Server::open(places.clone(), config.clone(), switches, log.clone())?);
    let serving = thread::spawn(move || server.serve(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))));
    let mut own = config;
    let token = places::read(&places.server("token"))?;
    own.add(
        &serde_json::json!({"server": format!("https://127.0.0.1:{PORT}"), "token": token.trim()})
            .to_string(),
    )
    .map_err(Error::Settings)?;
    let agent = Agent { places, config: own, ports: PORTS, log: log.clone(), machine: true };
    let membership = agent.join()?;
    log.info("k3s is up and running");
    local::notify("READY=1\n")?;
    while !serving.is_finished() {
        thread::sleep(std::time::Duration::from_secs(5));
        membership.heartbeat(log);
    }
    serving.join().unwrap_or_else(|_| Err(Error::Http("the server panicked")))
}
