//! Compiles the members' protocol from `proto/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/peer.proto"], ["proto"])?;
    // `Bytes` lets messages share the memory in which they were encoded.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
