//! PID 1 of the initrd. When it ends the kernel panics, and `panic=10` restarts the machine.

use firstboot::{init, log::Log};
use std::process::ExitCode;

fn main() -> ExitCode {
    let log = Log::start();
    if std::process::id() != 1 {
        log.fatal("this is the first program of an initrd; it does nothing on a running system");
        return ExitCode::from(2);
    }
    let Err(reason) = init::run(&log);
    log.fatal(format_args!("stopped: {reason}"));
    ExitCode::FAILURE
}
