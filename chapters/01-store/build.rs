//! Compiles etcd's API from `proto/`, in Rust alone: nobody installs protoc.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/rpc.proto"], ["proto"])?;
    // For reflection.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("etcd.bin"), files.encode_to_vec())?;
    // `Bytes` lets a key or a value of an answer share the store's memory.
    tonic_prost_build::configure().bytes(".").codec_path("crate::codec::ProstCodec").compile_fds(files)?;
    Ok(())
}
