//! `hcimage seed`: settings written from flags and files, and checked.

use crate::kit::{Lab, Said};
use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Stdio};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@laptop\n";
const TOKEN: &str =
    "K100123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef::node:hunter22hunter22";

#[test]
fn what_new_writes_check_understands() {
    let lab = Lab::new();
    lab.write("id.pub", KEY);
    lab.write("token", format!("{TOKEN}\n"));
    lab.write("wifi", "wifi-hunter22\r\n");
    lab.write(
        "escrow.toml",
        "[identity]\nname = \"pi3\"\nmachine-id = \"0123456789abcdef0123456789abcdef\"\nnode-password = \"hunter22\"\n",
    );
    let args = [
        "seed",
        "new",
        "card.toml",
        "--ssh-key=id.pub",
        "--role=agent",
        "--server=https://nas.local",
        "--token-file=token",
        "--address=192.168.1.20/24",
        "--gateway=192.168.1.1",
        "--dns=192.168.1.1",
        "--wifi-ssid=Our home",
        "--wifi-country=DE",
        "--wifi-password-file=wifi",
        "--time-server=ntp.lan",
        "--data-disk=ata-Samsung_1",
        "--format",
        "--label=hc.home/role=nas",
        "--taint=hc.home/slow:NoSchedule",
        "--page",
        "--escrow=escrow.toml",
    ];
    let said = lab.hcimage(&args).succeeds();
    assert!(
        said.err.contains("Next: copy it to the card's boot partition under the name homecloud.toml"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("hunter") && !said.out.contains("hunter"), "{}", said.err);
    assert_eq!(fs::metadata(lab.path("card.toml")).unwrap().permissions().mode() & 0o7777, 0o600);

    let said = lab.hcimage(&["seed", "check", "card.toml"]).succeeds();
    for expected in [
        "name         pi3\n",
        "log in       root, with the SSH key of me@laptop\n",
        "network      every wired port has 192.168.1.20/24, router 192.168.1.1, name servers 192.168.1.1\n",
        "wireless     Our home (with password, DE)\n",
        "time         from ntp.lan\n",
        "data disk    ata-Samsung_1, given a file system if it is empty\n",
        "cluster      agent of https://nas.local\n",
        "token        the cluster's own, only for the cluster with CA 0123456789ab…\n",
        "labels       hc.home/role=nas\n",
        "status page  for everybody on the network, on port 80\n",
        "identity     goes on as pi3: its machine id, its place in the cluster\n",
    ] {
        assert!(said.out.contains(expected), "{expected} is missing in\n{}", said.out);
    }
    assert!(said.err.contains("warning: the server has a .local name"), "{}", said.err);
    assert!(!said.out.contains("hunter") && !said.err.contains("hunter"));

    lab.hcimage(&args).fails(&["card.toml is there already", "hint: name another file, or say --force"]);
    lab.hcimage(&[&args[..], &["--force", "--hostname=pi4"]].concat())
        .fails(&["hostname is `pi4` but [identity] is that of `pi3`"]);
    lab.hcimage(&[&args[..], &["--force"]].concat()).succeeds();
}

#[test]
fn a_token_comes_on_standard_input_or_is_made() {
    let lab = Lab::new();
    lab.write("id.pub", KEY);
    let mut command = lab.command(&[
        "seed",
        "new",
        "--hostname=a",
        "--role=agent",
        "--server=https://nas",
        "--token-file=-",
    ]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{TOKEN}\n").as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(lab.text("homecloud.toml").contains(TOKEN));

    lab.hcimage(&["seed", "new", "b.toml", "--hostname=b", "--role=agent", "--server=https://nas"])
        .fails(&["the node needs a token", "hint: give it with --token-file FILE"]);
    lab.write("cut", &TOKEN[..60]);
    lab.hcimage(&["seed", "new", "b.toml", "--hostname=b", "--role=agent", "--server=https://nas", "--token-file=cut"])
        .fails(&["error: token is cut off (CA hash has 57 of 64 characters). Copy the whole line from \"hcnode token\" on a server"]);
    lab.hcimage(&["seed", "new", "b.toml", "--ssh-key=cut"]).fails(&["cut does not begin with a key's type"]);
    assert!(!lab.exists("b.toml"), "refused before anything was written");

    let first = ["seed", "new", "c.toml", "--hostname=c", "--role=server", "--ssh-key=id.pub"];
    let said = lab.hcimage(&first).succeeds();
    assert!(said.err.contains("A token was made for the new cluster"), "{}", said.err);
    let token =
        |file: &str| lab.text(file).lines().find(|line| line.starts_with("token")).unwrap().to_owned();
    assert_eq!(token("c.toml").len(), "token = \"\"".len() + 64);
    let before = token("c.toml");
    lab.hcimage(&[&first[..], &["--force"]].concat()).succeeds();
    assert_ne!(token("c.toml"), before);
    lab.hcimage(&["seed", "check", "c.toml"]).succeeds();
}

#[test]
fn check_tells_every_problem_with_its_line() {
    let lab = Lab::new();
    lab.write("homecloud.toml", "\u{feff}hostname = \"NAS\"\r\n\r\n[netwrk]\r\n[cluster]\r\nrole = \"agent\"\r\ntoken = \"K10abc\"\r\n");
    let said = lab.hcimage(&["seed", "check", "homecloud.toml"]).fails(&[
        "error: homecloud.toml:1: hostname `NAS` has capitals: write `nas`\n",
        "homecloud.toml:3: unknown key `netwrk`; did you mean `network`?\n",
        "homecloud.toml:4: an agent needs the server that it joins",
        "homecloud.toml:6: token is cut off (CA hash has 3 of 64 characters). Copy the whole line from \"hcnode token\" on a server",
    ]);
    assert_eq!(said.out, "");
    let said = lab.hcimage(&["seed", "check", "homecloud.toml", "--json"]).fails(&[]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["ok"], json["problems"].as_array().unwrap().len()), (&false.into(), 4));
    assert_eq!((&json["problems"][3]["line"], &json["problems"][3]["code"]), (&6.into(), &"HC-J01".into()));
    lab.hcimage(&["seed", "check", "nowhere"]).fails(&["cannot read nowhere: No such file"]);
    lab.write("latin", b"hostname = \"n\xe4s\"\n");
    lab.hcimage(&["seed", "check", "latin"]).fails(&["latin:1: byte 14 of the line (0xE4) is not UTF-8"]);
}

#[test]
fn check_understands_the_imagers_file_and_a_burned_one() {
    let lab = Lab::new();
    let preseed = "config_version = \"1.0\"\n\n[system]\nhostname = \"nas1\"\n\n[user]\nname = \"me\"\npassword = \"$y$hunter22\"\n";
    lab.write("rpi-preseed.toml", preseed);
    let said = lab.hcimage(&["seed", "check", "rpi-preseed.toml", "--json"]).succeeds();
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["kind"], &json["ok"]), (&"preseed".into(), &true.into()));
    assert!(
        said.out.contains("line 8: the user's password is not used") && !said.out.contains("hunter"),
        "{}",
        said.out
    );
    lab.write("copy.toml", preseed);
    let said = Said::of(&mut lab.command(&["seed", "check", "copy.toml"])).succeeds();
    assert!(said.err.contains("warning: line 7: user `me` is not made"), "{}", said.err);

    let seed = format!("[cluster]\nrole = \"agent\"\nserver = \"https://nas\"\ntoken = \"{TOKEN}\"\n");
    lab.write("used.toml", contract::Seed::burned(seed.as_bytes()).unwrap());
    let said = lab.hcimage(&["seed", "check", "used.toml"]).succeeds();
    assert!(said.out.contains("token    burned: the one that the node keeps\n"), "{}", said.out);
    assert!(
        said.err.contains("warning: a node has used these settings and burned their secrets"),
        "{}",
        said.err
    );
}
