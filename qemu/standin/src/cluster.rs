//! What a server's disk and settings make of it: its authorities, certificates, names, token and networks.

use crate::{
    Error, Result,
    config::Config,
    pki::{self, Authority, Use, When},
    places::{self, Places},
    tls::Pair,
    token,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The authorities of a cluster, and the server's certificates under them.
pub(crate) struct Cluster {
    pub(crate) server: Authority,
    pub(crate) client: Authority,
    pub(crate) now: Pair,
    pub(crate) later: Pair,
    pub(crate) before: Pair,
}

impl Cluster {
    /// Takes them from the disk, or makes them.
    pub(crate) fn open(places: &Places, dir: &str, names: &[String]) -> Result<Self> {
        let authority = |name: &str| -> Result<Authority> {
            let (certificate, key) =
                (places.server(&format!("{dir}/{name}.crt")), places.server(&format!("{dir}/{name}.key")));
            if certificate.exists() && key.exists() {
                return Authority::load(&places::read(&certificate)?, &places::read(&key)?);
            }
            let authority = Authority::root(&format!("k3s-{name}"))?;
            places::write(&certificate, authority.pem()?)?;
            places::write(&key, authority.key_pem()?)?;
            Ok(authority)
        };
        let (server, client) = (authority("server-ca")?, authority("client-ca")?);
        let (key, public) = pki::new_key()?;
        let pair = |when| -> Result<Pair> {
            let chain = server.issue("k3s", Some("k3s"), &Use::Server(names.to_vec()), when, &public)?;
            Ok(Pair { chain, key: key.clone() })
        };
        let (now, later, before) = (pair(When::Now)?, pair(When::Later)?, pair(When::Before)?);
        Ok(Self { server, client, now, later, before })
    }
}

/// The names of the server's certificate.
pub(crate) fn names(config: &Config) -> Result<Vec<String>> {
    let fixed = [
        "127.0.0.1",
        "::1",
        "10.43.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let mut names: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    names.extend(config.all("tls-san").iter().cloned());
    names.extend(config.get("node-ip").map(str::to_owned));
    names.extend(config.get("node-name").map(str::to_owned));
    names.dedup();
    Ok(names)
}

/// The token's password: of the disk, else of the settings, else new.
pub(crate) fn password(places: &Places, config: &Config) -> Result<String> {
    let file = places.server("token");
    let known = if file.exists() { Some(places::read(&file)?) } else { config.secret("token")? };
    match known {
        Some(text) => match token::Token::parse(text.trim())?.who {
            token::Who::Password(password) => Ok(password),
            token::Who::Bearer(_) => Err(Error::Settings("a bootstrap token is no server token".into())),
        },
        None => Ok(pki::random_hex(16)),
    }
}

/// Go's JSON of a net.IPNet: the address, and the mask's bytes in base64.
pub(crate) fn net(cidr: &str) -> Result<Value> {
    let odd = || Error::Settings(format!("invalid CIDR address: {cidr}"));
    let (ip, prefix) = cidr.split_once('/').ok_or_else(odd)?;
    let (ip, prefix): (IpAddr, u32) = (ip.parse().map_err(|_| odd())?, prefix.parse().map_err(|_| odd())?);
    let size = if ip.is_ipv4() { 32 } else { 128 };
    let mask: Vec<u8> = (0..size / 8)
        .map(|byte| 0xff_u8.checked_shl(8 - prefix.saturating_sub(byte * 8).min(8)).unwrap_or(0))
        .collect();
    Ok(json!({"IP": ip, "Mask": STANDARD.encode(mask)}))
}

/// The administrator's kubeconfig.
pub(crate) fn kubeconfig(ca: &str, chain: &str, key: &str) -> String {
    let data = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:6443\n  \
             name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\n\
             current-context: default\nkind: Config\npreferences: {{}}\nusers:\n- name: default\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
        data(ca),
        data(chain),
        data(key)
    )
}

#[cfg(test)]
mod tests {
    use super::net;

    #[test]
    fn networks_are_written_as_go_does() {
        for (cidr, mask) in
            [("10.42.0.0/16", "//8AAA=="), ("10.0.0.0/12", "//AAAA=="), ("0.0.0.0/0", "AAAAAA==")]
        {
            assert_eq!(net(cidr).unwrap()["Mask"], mask);
        }
        assert!(net("10.42.0.0").is_err());
    }
}
