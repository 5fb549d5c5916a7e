//! Compiles etcd's API from `proto/`, in Rust alone: nobody installs protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/rpc.proto"], ["proto"])?;
    // `Bytes` lets a key or a value of an answer share the store's memory.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
