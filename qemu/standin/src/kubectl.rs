//! The few commands of kubectl and k3s that our tests type on a server.

use crate::{
    Error, Result, client,
    http::Request,
    node, pki,
    places::{self, Places},
    tls::{Pair, Trust},
    token,
};
use serde_json::Value;

const HELP: &str = "the stand-in knows: get nodes [NAME] [-o json], get --raw PATH, delete node NAME";

/// What a command prints.
pub fn run(places: &Places, port: u16, words: &[String]) -> Result<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["get", "nodes" | "node"] => table(&ask(places, port, "GET", "/api/v1/nodes")?),
        ["get", "nodes" | "node", "-o", "json"] => ask(places, port, "GET", "/api/v1/nodes"),
        ["get", "nodes" | "node", name, rest @ ..] => {
            let text = ask(places, port, "GET", &format!("/api/v1/nodes/{name}"))?;
            if rest == ["-o", "json"] { Ok(text) } else { table(&format!("{{\"items\":[{text}]}}")) }
        }
        ["get", "--raw", path] => ask(places, port, "GET", path),
        ["delete", "node" | "nodes", name] => {
            ask(places, port, "DELETE", &format!("/api/v1/nodes/{name}"))?;
            Ok(format!("node \"{name}\" deleted\n"))
        }
        _ => Err(Error::Settings(HELP.into())),
    }
}

/// Makes a bootstrap token: what `k3s token create` prints.
pub fn create_token(places: &Places) -> Result<String> {
    let token = format!("{}.{}", pki::random_hex(3), pki::random_hex(8));
    let file = places.server("db/tokens");
    let known = if file.exists() { places::read(&file)? } else { String::new() };
    places::write(&file, format!("{known}{token}\n"))?;
    let hash = token::hash_ca(&places::read(&places.server("tls/server-ca.crt"))?)?;
    Ok(format!("K10{hash}::{token}\n"))
}

fn ask(places: &Places, port: u16, method: &str, path: &str) -> Result<String> {
    let read = |name| places::read(&places.server(name));
    let pair = Pair { chain: read("tls/client-admin.crt")?, key: read("tls/client-admin.key")? };
    let ca = read("tls/server-ca.crt")?;
    let answer = client::get(port, Trust::Only(&ca), Some(&pair), &Request::new(method, path))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn table(list: &str) -> Result<String> {
    let list: Value = serde_json::from_str(list).map_err(|_| Error::Http("no JSON"))?;
    let mut text = "NAME STATUS VERSION\n".to_owned();
    for found in list["items"].as_array().into_iter().flatten() {
        let status = if node::condition(found, "Ready") == Some("True") { "Ready" } else { "NotReady" };
        let name = found["metadata"]["name"].as_str().unwrap_or_default();
        text += &format!("{name} {status} {}\n", crate::VERSION);
    }
    Ok(text)
}
