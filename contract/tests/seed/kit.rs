//! A whole seed, and what is said about a broken one.

use contract::Seed;

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@laptop";
pub(crate) const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const PRIVATE: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
    QyNTUxOQAAACBSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSEC\n\
    -----END OPENSSH PRIVATE KEY-----\n";

/// Every key of the schema, with a right value.
pub(crate) fn whole() -> String {
    format!(
        r#"hostname = "nas1"

[ssh]
authorized-keys = ["{KEY}"]

[network]
interface = "en*"
addresses = ["192.168.1.20/24", "fd00::20/64"]
gateway = "192.168.1.1"
dns = ["192.168.1.1", "fd00::1"]

[[wifi]]
ssid = "Our home"
password = "wifi-secret-1"
country = "DE"
hidden = true

[time]
servers = ["ntp.lan", "192.168.1.1"]

[data]
disk = "ata-Samsung_SSD_870_S5Y2NJ0R"
format = true

[cluster]
role = "server"
server = "https://nas0.local:6443"
token = "K10{HASH}::server:token-secret-2"
allow-unpinned = false
taints = ["hc.home/disk=slow:NoSchedule", "only:NoExecute"]
node-ip = "192.168.1.20"
tls-san = ["nas.lan", "192.168.1.9"]
virtual-ip = "192.168.1.9"

[cluster.labels]
"hc.home/role" = "nas"

[status]
page = true

[identity]
name = "nas1"
machine-id = "0123456789abcdef0123456789abcdef"
node-password = "node-secret-3"
ssh-host-key = """
{PRIVATE}"""
"#
    )
}

/// Everything that is said about a seed: `LINE: MESSAGE`.
pub(crate) fn complaints(text: impl AsRef<[u8]>) -> Vec<String> {
    match Seed::parse(text.as_ref()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            error.problems.iter().map(|problem| format!("{}: {}", problem.line, problem.message)).collect()
        }
    }
}

/// Says one thing alone, that begins so.
pub(crate) fn complains(text: &str, expected: &str) {
    let said = complaints(text);
    assert!(
        said.len() == 1 && said[0].starts_with(expected),
        "expected {expected}\nsaid {said:#?}\nof\n{text}"
    );
}
