//! Where rows came from: places whose content is not what it was.

mod address;

pub use address::{Address, AddressModel, AddressState};
