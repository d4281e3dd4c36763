//! Lets C modules that scripts load find the Lua library in this program.

fn main() {
    println!("cargo::rustc-link-arg-bins=-rdynamic");
}
