//! CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and etcd's own log.

/// Bytes that are looked up at once ("slicing").
const SLICE: usize = 16;

/// `TABLES[n][byte]` is the checksum of a byte with `n` zero bytes behind it.
static TABLES: [[u32; 256]; SLICE] = tables();

const fn tables() -> [[u32; 256]; SLICE] {
    let mut tables = [[0; 256]; SLICE];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut at = 256;
    while at < SLICE * 256 {
        let before = tables[at / 256 - 1][at % 256];
        tables[at / 256][at % 256] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
        at += 1;
    }
    tables
}

/// Goes on from the checksum of what came before; 0 to begin.
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    let (slices, rest) = bytes.as_chunks::<SLICE>();
    for slice in slices {
        let mut slice = *slice;
        let [a, b, c, d] = crc.to_le_bytes();
        slice[0] ^= a;
        slice[1] ^= b;
        slice[2] ^= c;
        slice[3] ^= d;
        // What hangs on the slice before comes last: the processor looks the rest up meanwhile.
        let table = |at: usize| TABLES[SLICE - 1 - at][slice[at] as usize];
        let free = table(12) ^ table(13) ^ table(14) ^ table(15);
        let free = free ^ table(8) ^ table(9) ^ table(10) ^ table(11);
        let free = free ^ table(4) ^ table(5) ^ table(6) ^ table(7);
        crc = free ^ (table(0) ^ table(1) ^ table(2) ^ table(3));
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
    }
    !crc
}
