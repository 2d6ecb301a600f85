//! The console is built by `cargo xtask console` (npm and Vite); this only checks that it was.

fn main() {
    println!("cargo::rerun-if-changed=dist");
    if !std::path::Path::new("dist/index.html").exists() {
        println!(
            "cargo::error=core/console/dist is not there: run `cargo xtask console` first \
             (`cargo xtask demo` and `cargo xtask test` do it by themselves)"
        );
    }
}
