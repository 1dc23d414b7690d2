//! Many questions to one guest: each answer is told, and the failures all at once.

use qemu::Error;

/// The answers of one guest's life.
pub(crate) struct Checks {
    test: String,
    failures: Vec<String>,
}

impl Checks {
    pub(crate) fn new(test: &str) -> Self {
        Self { test: test.to_owned(), failures: Vec::new() }
    }

    /// Notes that `what` holds, or why not.
    pub(crate) fn that(&mut self, what: &str, verdict: Result<(), String>) {
        match verdict {
            Ok(()) => eprintln!("ok: {}: {what}", self.test),
            Err(why) => {
                eprintln!("FAILED: {}: {what}: {why}", self.test);
                self.failures.push(format!("{what}: {why}"));
            }
        }
    }

    /// Notes the outcome of an act of the harness.
    pub(crate) fn record(&mut self, what: &str, outcome: qemu::Result<()>) {
        self.that(what, outcome.map_err(|error| error.to_string()));
    }

    /// Notes that two values are equal.
    pub(crate) fn equal(&mut self, what: &str, found: qemu::Result<String>, expected: &str) {
        self.that(
            what,
            match found {
                Ok(found) if found.trim() == expected.trim() => Ok(()),
                Ok(found) => Err(format!("is `{}`, expected `{}`", found.trim(), expected.trim())),
                Err(error) => Err(error.to_string()),
            },
        );
    }

    /// The client, or `None` when this host lacks it: told, and a failure where everything must be there.
    pub(crate) fn client<T>(&mut self, found: qemu::Result<T>) -> Option<T> {
        match found {
            Ok(client) => Some(client),
            Err(error) if error.is_missing() && std::env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!("skipped: {} (part): {error}", self.test);
                None
            }
            Err(error) => {
                self.record("the client is there", Err::<(), Error>(error));
                None
            }
        }
    }

    pub(crate) fn finish(self) {
        let Self { test, failures } = self;
        assert!(failures.is_empty(), "{test}: {} failed:\n- {}", failures.len(), failures.join("\n- "));
    }
}
