//! `hcimage bundle`, and `hcimage sign` for a bundle.

mod frames;
mod source;

use crate::{
    args::{BundleArgs, SignArgs},
    config::size,
    error::Failure,
    printer::Printer,
    signing::SecretKey,
};
use contract::{
    Digest,
    bundle::{FrameTable, Head, Header, Index, LAYOUT, PREFIX, Part, Prefix, SCHEMA, Uki, write},
    signature::show_key_id,
    trust::{Chain, Trust},
};
use frames::Spooled;
use source::Source;
use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

pub(crate) fn run(args: &BundleArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let keys = args.key.iter().map(|file| SecretKey::load(file)).collect::<Result<Vec<_>, _>>()?;
    let sources = args.images.iter().map(|folder| Source::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let (source, others) =
        sources.split_first().ok_or_else(|| Failure::refused("no build to make a bundle of"))?;
    for other in others {
        source.same_release(other)?;
    }
    if !keys.is_empty() {
        super::sign::refuse_lab(&source.manifest, &source.release.lab, args.lab)?;
    }
    let (chain, trust) = source.trust(args.trust.as_deref())?;
    for (key, file) in keys.iter().zip(&args.key) {
        require_member(key, file, &trust)?;
    }
    printer.stage("verify", |stage| {
        stage.note(format!("{} files", 3 * sources.len()));
        sources.iter().try_for_each(Source::verify)
    })?;
    let parts = source.parts()?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let spooled = printer.stage("frames", |stage| {
        let spooled = frames::spool(&parts, folder, stage)?;
        stage.note(format!("{} in {} frames", size::show(spooled.stored), spooled.count));
        Ok(spooled)
    })?;
    let header = header(&sources, &parts, &chain, &trust, &spooled)?;
    let signatures = keys.iter().map(|key| signature(key, &header)).collect::<Result<Vec<_>, _>>()?;
    let head = write::head(&header, &signatures, &chain)?;
    let index = write::index(&parts.root, &parts.uki, &spooled.table);
    printer.stage("bundle", |stage| {
        put(&args.out, &head, &index, spooled.file)?;
        stage.note(args.out.display().to_string());
        reread(&args.out)
    })?;
    report(args, &header, &head, &index, &trust, json, printer)
}

fn header(
    sources: &[Source],
    parts: &source::Parts,
    chain: &Chain,
    trust: &Trust,
    spooled: &Spooled,
) -> Result<Header, Failure> {
    let source = &sources[0];
    let release = &source.release;
    let update = source.update()?;
    let mut boards: Vec<String> = sources.iter().map(|source| source.release.board.clone()).collect();
    boards.sort();
    boards.dedup();
    Ok(Header {
        schema: SCHEMA.to_owned(),
        product: release.profile.clone(),
        arch: release.arch,
        boards,
        layout: LAYOUT.to_owned(),
        version: release.version.clone(),
        epoch: release.epoch,
        content_id: release.content_id,
        sequence: update.sequence,
        floor: update.floor,
        trust: trust.version,
        chain: Digest::of(&chain.render()),
        root: Part {
            size: parts.root.data_blocks() * contract::verity::BLOCK as u64,
            data_blocks: parts.root.data_blocks(),
            root_hash: Digest(*parts.root.root()),
            salt: release.verity.salt,
            uuid: parts.uuid.clone(),
        },
        uki: Uki {
            size: parts.uki_bytes.len() as u64,
            data_blocks: parts.uki.data_blocks(),
            root_hash: Digest(*parts.uki.root()),
        },
        frames: FrameTable {
            count: spooled.count,
            sha256: Digest::of(&spooled.table),
            stored: spooled.stored,
        },
        k3s: release.artifacts.get("k3s").map(|artifact| artifact.version.clone()),
        lab: release.lab.clone(),
    })
}

/// The signature of a key over a header; the same each time.
fn signature(key: &SecretKey, header: &Header) -> Result<String, Failure> {
    let Header { product, arch, version, .. } = header;
    key.sign_in_form(&header.render(), &format!("hcimage bundle {product} {arch} {version}"))
}

/// A signature that no node counts would only look like one.
fn require_member(key: &SecretKey, file: &Path, trust: &Trust) -> Result<(), Failure> {
    let public = key.public()?;
    let known = trust.public_keys().map_err(|error| Failure::refused(error.to_string()))?;
    if known.contains(&public) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|key| show_key_id(key.id)).collect();
    Err(Failure::with_hint(
        format!(
            "{}: key {} is not among the keys of trust version {} ({}): no node would count its signature",
            file.display(),
            show_key_id(public.id),
            trust.version,
            known.join(", ")
        ),
        "sign with one of those keys, or add it first with `hcimage trust next`",
    ))
}

/// Writes all parts beside the target, and gives them its place when they are whole.
fn put(target: &Path, head: &[u8], index: &[u8], mut frames: File) -> Result<(), Failure> {
    let partial = PathBuf::from(format!("{}.partial", target.display()));
    let written = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(head)?;
        file.write_all(index)?;
        frames.rewind()?;
        io::copy(&mut frames, &mut file)?;
        file.sync_all()
    };
    let written = { written }();
    written.map_err(Failure::file("write", &partial))?;
    fs::rename(&partial, target).map_err(Failure::file("write", target))
}

/// What a node would refuse is noticed here.
fn reread(path: &Path) -> Result<(), Failure> {
    let wrong =
        |error: contract::bundle::BundleError| Failure::refused(format!("{}: {error}", path.display()));
    let (file, bytes) = read_head(path)?;
    let head = Head::unverified(&bytes).map_err(wrong)?;
    head.check_file_size(file.metadata().map_err(Failure::file("read", path))?.len()).map_err(wrong)?;
    let mut index = vec![0; usize::try_from(head.header.index_size()).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut index, head.size).map_err(Failure::file("read", path))?;
    Index::parse(&head, index).map(|_| ()).map_err(wrong)
}

/// The bytes of a bundle's head.
pub(super) fn read_head(path: &Path) -> Result<(File, Vec<u8>), Failure> {
    let file = File::options().read(true).open(path).map_err(Failure::file("read", path))?;
    let mut bytes = Vec::new();
    let mut take = |upto: usize| -> io::Result<()> {
        let want = (upto - bytes.len()) as u64;
        (&file).take(want).read_to_end(&mut bytes).map(|_| ())
    };
    take(PREFIX).map_err(Failure::file("read", path))?;
    let prefix =
        Prefix::parse(&bytes).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
    let rest = prefix.head_size() as u64 - bytes.len() as u64;
    (&file).take(rest).read_to_end(&mut bytes).map_err(Failure::file("read", path))?;
    Ok((file, bytes))
}

/// Whether a file is a bundle, by its first bytes.
pub(super) fn is_one(path: &Path) -> Result<bool, Failure> {
    let mut magic = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) => Ok(magic == *b"HCB1"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Failure::file("read", path)(error)),
    }
}

/// `hcimage sign FILE.hcb`: one signature more, in place.
pub(super) fn sign(args: &SignArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let SignArgs { release: path, key: key_file, lab } = args;
    let wrong = |error: String| Failure::refused(format!("{}: {error}", path.display()));
    let (_, bytes) = read_head(path)?;
    let head = Head::unverified(&bytes).map_err(|error| wrong(error.to_string()))?;
    super::sign::refuse_lab(path, &head.header.lab, *lab)?;
    let trust = head.chain.newest().map_err(|error| wrong(error.to_string()))?;
    let trust = trust.ok_or_else(|| wrong("it carries no trust".to_owned()))?;
    let key = SecretKey::load(key_file)?;
    require_member(&key, key_file, &trust)?;
    let signature = signature(&key, &head.header)?;
    let mut signatures = head.signatures.clone();
    if !signatures.contains(&signature) {
        signatures.push(signature);
        let signed = write::head(&head.header, &signatures, &head.chain)?;
        if signed.len() != bytes.len() {
            return Err(wrong("its header is not in the form in which this program writes it".to_owned()));
        }
        let file = File::options().write(true).open(path).map_err(Failure::file("write", path))?;
        let written = file.write_all_at(&signed, 0).and_then(|()| file.sync_all());
        written.map_err(Failure::file("write", path))?;
    }
    let missing = missing(&trust, &head.header, &signatures)?;
    if json {
        let said = serde_json::json!({ "bundle": path, "signatures": signatures.len(), "missing": missing });
        return printer.data(&format!("{said}\n"));
    }
    printer.say(&format!("{}: {}", path.display(), show_missing(missing)));
    Ok(())
}

/// How many signatures of a bundle's trust it still lacks.
fn missing(trust: &Trust, header: &Header, signatures: &[String]) -> Result<usize, Failure> {
    match trust.verify("the bundle", &header.render(), signatures) {
        Ok(_) => Ok(0),
        Err(contract::trust::TrustError::TooFew { count, threshold, .. }) => Ok(threshold as usize - count),
        Err(error) => Err(Failure::refused(error.to_string())),
    }
}

fn show_missing(missing: usize) -> String {
    match missing {
        0 => "signed: nodes take it".to_owned(),
        1 => "one more signature is needed: `hcimage sign FILE.hcb --key KEY`".to_owned(),
        more => format!("{more} more signatures are needed: `hcimage sign FILE.hcb --key KEY`"),
    }
}

fn report(
    args: &BundleArgs,
    header: &Header,
    head: &[u8],
    index: &[u8],
    trust: &Trust,
    json: bool,
    printer: &Printer,
) -> Result<(), Failure> {
    let signatures = Head::unverified(head)?.signatures;
    let missing = missing(trust, header, &signatures)?;
    let all = head.len() as u64 + index.len() as u64 + header.frames.stored;
    if json {
        let said = serde_json::json!({
            "bundle": args.out, "bytes": all, "head_bytes": head.len(), "index_bytes": index.len(),
            "header": header, "missing_signatures": missing,
        });
        return printer.data(&format!("{said:#}\n"));
    }
    let Header { product, arch, version, root, uki, frames, boards, .. } = header;
    printer.say(&format!("\n{}", printer.bold(&format!("{product} {arch} {version}"))));
    let row = |name: &str, value: String| (name.to_owned(), value);
    let blocks = root.data_blocks + uki.data_blocks;
    printer.table(&[
        row("bundle", format!("{} ({})", args.out.display(), size::show(all))),
        row("boards", boards.join(", ")),
        row("sequence", format!("{} (floor {})", header.sequence, header.floor)),
        row("root", format!("{}, {} blocks", size::show(root.size), root.data_blocks)),
        row("kernel image", format!("{}, {} blocks", size::show(uki.size), uki.data_blocks)),
        row("index", format!("{} for {blocks} blocks", size::show(index.len() as u64))),
        row("frames", format!("{} in {} frames", size::show(frames.stored), frames.count)),
        row("root hash", root.root_hash.to_string()),
        row("trust", format!("version {}, {} of {} keys", trust.version, trust.threshold, trust.keys.len())),
        row("signed", show_missing(missing)),
    ]);
    let out = args.out.display();
    printer.say(&match missing {
        0 => format!("\nNext: hcimage publish {out} -o DIR    or on a node: hcnode update --to {out}"),
        _ => format!("\nNext: hcimage sign {out} --key KEY"),
    });
    Ok(())
}
