//! Whatever is on the card, reading it ends well.

use crate::kit::whole;
use contract::{
    Seed,
    seed::{Identity, preseed},
};
use proptest::prelude::*;

fn read(bytes: &[u8]) {
    match Seed::parse(bytes) {
        Ok(seed) => {
            assert_eq!(Seed::parse(seed.render().as_bytes()), Ok(seed), "what is written is read again")
        }
        Err(error) => {
            assert!(!error.problems.is_empty() && error.problems.iter().all(|problem| problem.line > 0));
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(burned) = Seed::burned(bytes) {
        assert_eq!(burned.len(), bytes.len());
        assert!(Seed::burned(&burned).is_ok(), "a burned file is read again");
    }
    let _seen = (preseed::parse(bytes).is_ok(), preseed::recognise(bytes), Identity::parse(bytes).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    #[test]
    fn any_text(text in "([a-z]{1,8} ?= ?|\\[|\\]|\"|'|\"\"\"|\n|\r\n|#|\\{|\\}|true|1|cluster|token|wifi|\\PC){0,60}") {
        read(text.as_bytes());
    }

    #[test]
    fn a_seed_that_was_damaged(at in 0usize..2000, length in 0usize..40, bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut seed = whole().into_bytes();
        let at = at.min(seed.len());
        let end = (at + length).min(seed.len());
        seed.splice(at..end, bytes);
        read(&seed);
    }

    #[test]
    fn a_seed_with_another_value(line in 0usize..60, value in "(\"[ -~]{0,20}\"|-?[0-9]{1,20}|true|\\[\\]|\\[1, \"a\"\\]|\\{\\}|1979-05-27|nan)") {
        let text = whole();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        let index = line.min(lines.len() - 1);
        if let Some((key, _)) = lines[index].clone().split_once(" = ") {
            lines[index] = format!("{key} = {value}");
        }
        read(lines.join("\n").as_bytes());
    }
}
