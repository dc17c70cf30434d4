//! The part of a fold that a unit has no use for when the models given suffice.

/// The methods of [`Fold`](crate::fold::Fold) for a unit whose `begin` always returns its model: it gathers no state.
macro_rules! without_scan {
    () => {
        type Brief = ();
        type State = ();

        fn open(&self, (): &()) {}

        fn observe(&self, (): &(), (): &mut (), _: &crate::data::Batch) -> crate::error::Result<()> {
            Ok(())
        }

        fn merge(&self, (): &(), (): &mut (), (): ()) -> crate::error::Result<()> {
            Ok(())
        }

        fn close(
            &self,
            data: &crate::data::Schema,
            given: &crate::fold::Given,
            (): (),
            (): (),
        ) -> crate::error::Result<crate::fold::Step<(), Self::Model>> {
            self.begin(data, given)
        }

        fn max_bytes(&self, _: &crate::data::Schema) -> usize {
            0
        }
    };
}

pub(crate) use without_scan;
