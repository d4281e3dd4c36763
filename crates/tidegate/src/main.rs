//! The program: see the library.

fn main() -> std::process::ExitCode {
    tidegate::run(std::env::args().skip(1).collect())
}
