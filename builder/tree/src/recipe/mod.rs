//! Reviewed effects of maintainer scripts, as data.
