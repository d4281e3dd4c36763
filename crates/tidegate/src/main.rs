//! The program: see the library.

/// See docs/decisions/0003-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tidegate::run(std::env::args().skip(1).collect())
}
