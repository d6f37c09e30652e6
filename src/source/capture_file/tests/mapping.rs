//! Files that are mapped, and what becomes of those that are cut meanwhile.

use super::*;

/// A capture of so many packets of 1000 bytes, each of which is 7, and how long it is.
fn sevens(packets: usize) -> (tempfile::TempPath, u64) {
    let order = Numbers { big_endian: false };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&order.words(&[0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 1])).unwrap();
    let record = [&order.words(&[1, 2, 1000, 1000])[..], &[7; 1000]].concat();
    file.write_all(&record.repeat(packets)).unwrap();
    let length = file.as_file().metadata().unwrap().len();
    (file.into_temp_path(), length)
}

fn shorten(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn is_mapped(source: &CaptureFile) -> bool {
    source.buffer.ahead() > 0
}

#[test]
fn what_is_mapped_and_what_is_not() {
    let (path, _) = sevens(3000);
    let first = |source: Result<CaptureFile, Error>| {
        let mut source = source.unwrap();
        let Ok(Fill::Batch(_)) = source.fill(1) else { panic!("a packet") };
        is_mapped(&source)
    };
    assert!(first(CaptureFile::open(&path)));
    assert!(!first(CaptureFile::open(&path).map(CaptureFile::without_mapping)));
    let writer = File::options().append(true).open(&path).unwrap();
    assert!(!first(CaptureFile::open(&path)), "somebody may write to it");
    drop(writer);
    assert!(first(CaptureFile::open(&path)));
}

/// Wherever it is cut: what comes before the cut is whole, and then comes an error.
#[test]
fn a_mapped_file_made_shorter_ends_with_an_error() {
    for (before, length) in [(900, 1_000_000), (200, 900_000), (200, 400_000), (200, 4096 * 50), (200, 0)] {
        let (path, _) = sevens(3000);
        let mut source = CaptureFile::open(&path).unwrap();
        let mut frames = 0;
        let mut fill = |source: &mut CaptureFile| -> Result<bool, Error> {
            let Fill::Batch(batch) = source.fill(100)? else { return Ok(false) };
            frames += batch.len();
            assert!(batch.frames().all(|frame| frame.data == [7; 1000]));
            Ok(true)
        };
        (0..before / 100).for_each(|_| assert!(fill(&mut source).unwrap()));
        assert!(is_mapped(&source));
        shorten(&path, length);
        let error = loop {
            match fill(&mut source) {
                Ok(more) => assert!(more, "an end without an error, cut to {length}"),
                Err(error) => break error,
            }
        };
        let Error::Damaged { frames: told, .. } = error else { panic!("{error}") };
        assert_eq!(told, frames as u64);
        assert!(frames as u64 <= length.max(before * 1016) / 1016 + 1, "{frames} of {length}");
        assert!(matches!(source.fill(1), Ok(Fill::End)));
    }
}

#[test]
fn frames_that_went_before_they_were_looked_at_are_told_in_the_end() {
    for ahead in [false, true] {
        let (path, length) = sevens(3000);
        let mut source = CaptureFile::open(&path).unwrap();
        let pieces = source.ahead().unwrap();
        let mut chunks: Vec<Chunk> = Vec::new();
        loop {
            let mut chunk = Chunk::default();
            if ahead {
                pieces.fetch(pieces.claim(), &mut chunk);
            }
            if !source.fill_chunk(&mut chunk, u64::MAX).unwrap() {
                break;
            }
            chunks.push(chunk);
        }
        let sound = |chunks: &[Chunk]| {
            let batches = chunks.iter().flat_map(Chunk::batches);
            batches.flat_map(|batch| batch.frames()).filter(|frame| frame.data == [7; 1000]).count()
        };
        assert_eq!(sound(&chunks), 3000);
        source.settle().unwrap();
        shorten(&path, length / 2);
        assert!((1400..2000).contains(&sound(&chunks)), "zeros are read, and nobody dies");
        drop(chunks);
        assert!(matches!(source.settle(), Err(Error::Damaged { .. })));
    }
}
