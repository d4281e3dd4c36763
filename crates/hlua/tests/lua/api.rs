//! The API's table, a snapshot a class: signature, contexts, whether it waits.

#[test]
fn each_class_has_its_page() {
    for (class, page) in hlua::describe() {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("class_{class}"), page);
        });
    }
}
