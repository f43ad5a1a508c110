fn main() {
    let crd = clinic_phone_operator::api::crd::clinic_phone_numbers().unwrap_or_default();
    println!("{}", clinic_phone_operator::yaml::to_string(&crd).unwrap_or_default());
}
