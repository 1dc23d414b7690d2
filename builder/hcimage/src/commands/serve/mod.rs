//! `hcimage serve`: a folder for the nodes of a local network.

mod board;

use crate::{args::ServeArgs, error::Failure, printer::Printer};
use board::Board;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use store::Server;

/// How often the lines of the nodes are drawn anew.
const TICK: Duration = Duration::from_millis(250);

pub(crate) fn run(args: &ServeArgs, printer: &Printer) -> Result<(), Failure> {
    let server: &'static Server = Box::leak(Box::new(Server::bind(&args.folder, args.listen)?));
    let address = server.address().map_err(Failure::file("listen at", args.listen.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(Failure::file("wait for", "signals"))?;
    }
    announce(&args.folder, address, printer)?;
    let board: &'static Board = Box::leak(Box::new(Board::new()));
    // Its threads end with the program: whoever is cut off goes on where it was the next time.
    let served = thread::Builder::new().spawn(move || server.run(board));
    served.map_err(Failure::file("start", "the server"))?;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        board.draw();
    }
    printer.say(&board.farewell());
    Ok(())
}

/// What is served, to whom, and what a node needs to know.
fn announce(folder: &Path, address: SocketAddr, printer: &Printer) -> Result<(), Failure> {
    let mut channels = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::file("read", folder))? {
        let name = entry.map_err(Failure::file("read", folder))?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            channels.push(name);
        }
    }
    channels.sort();
    printer.say(&format!("serving {} at http://{address}", folder.display()));
    if channels.is_empty() {
        printer.warn("there is no channel file in this folder: `hcimage publish BUNDLE -o DIR` writes one");
    } else {
        printer.say(&format!("channels: {}", channels.join(", ")));
    }
    if !address.ip().is_loopback() {
        printer.warn(&format!(
            "everybody who reaches this machine at port {} can read this folder; nodes check signatures, others need not",
            address.port()
        ));
    }
    printer.say("Ctrl-C ends it.");
    Ok(())
}
