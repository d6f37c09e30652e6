use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

proptest! {
    /// Whatever is put in, taken out, and asked for.
    #[test]
    fn it_is_a_map(steps: Vec<(u8, u16)>) {
        let mut table = Table::<u64>::new(Seed::fixed(1));
        let mut map = HashMap::new();
        for (step, key) in steps {
            let key = u128::from(key % 300 + 1) << 60;
            if step % 3 == 0 {
                let found = table.find(key, table.hash(key), NONE);
                prop_assert_eq!(found.is_some(), map.remove(&key).is_some());
                if let Some(place) = found {
                    table.remove(place);
                }
            } else {
                table.update(&[key; 3], |_, value| *value += u64::from(step));
                *map.entry(key).or_insert(0) += 3 * u64::from(step);
            }
        }
        prop_assert_eq!(table.len(), map.len());
        for place in table.places_in_use().collect::<Vec<_>>() {
            let (key, value) = table.entry(place);
            prop_assert_eq!(map.get(&key), Some(&*value));
        }
    }
}

#[test]
fn it_grows_with_what_is_in_it_and_not_beyond() {
    let mut table = Table::<[u64; 6]>::new(Seed::random());
    let keys: Vec<u128> = (1..=200_000).map(|key| key << 33 | 1).collect();
    let mut places = HashMap::new();
    for (number, &key) in (0..).zip(&keys) {
        let mut value = [0; 6];
        value[5] = number;
        let place = table.insert(key, table.hash(key), value, |value, place| {
            places.insert(value[5], place);
        });
        places.insert(number, place);
    }
    for (number, &key) in (0..).zip(&keys) {
        assert_eq!(
            table.find(key, table.hash(key), NONE),
            Some(places[&number]),
            "it is told where they are"
        );
    }
    let bytes = table.bytes() / keys.len();
    // It grows when it is nearly full, by chance at some eight tenths.
    assert!((65..=102).contains(&bytes), "{bytes} bytes a flow");
    let before = table.bytes();
    keys.iter().for_each(|&key| {
        let place = table.find(key, table.hash(key), NONE).unwrap();
        table.remove(place);
    });
    assert!(table.is_empty());
    table.update(&keys, |_, value| value[0] += 1);
    assert_eq!(table.len(), keys.len());
    // Entries find other places than before: by chance it was so full that it grows once more.
    let grown = table.bytes() as f64 / before as f64;
    assert!(grown == 1.0 || (1.24..1.26).contains(&grown), "{grown}");
}

/// With as many keys as there will ever be it is as large as was meant, and where they went is told.
#[test]
fn one_with_a_bound_grows_to_that_and_not_beyond() {
    const MOST: u32 = 200_000;
    let mut table = Table::<[u64; 6]>::of_at_most(Seed::random(), MOST as usize);
    let mut places = HashMap::new();
    for number in 0..MOST {
        let key = u128::from(number + 1) << 33 | 1;
        let mut value = [0; 6];
        value[5] = number.into();
        let place = table.insert(key, table.hash(key), value, |value, place| {
            places.insert(value[5], place);
        });
        places.insert(number.into(), place);
    }
    assert_eq!(table.tags.len(), table.enough);
    assert!(table.bytes() / (MOST as usize) < 75, "{} bytes", table.bytes());
    for number in 0..MOST {
        let key = u128::from(number + 1) << 33 | 1;
        assert_eq!(table.find(key, table.hash(key), NONE), Some(places[&number.into()]));
    }
}
