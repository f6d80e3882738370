/* Tables of columns, as hannah_hw.report.columns packs them, back to records. */

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** The records of a table. They have no prototype, so that a run may use any key. */
function unpack(table) {
  const records = Array.from({ length: table.rows }, () => Object.create(null));
  for (const [key, column] of Object.entries(table.columns)) {
    unpackColumn(column, table.rows).forEach((value, place) => {
      if (value !== undefined) records[place][key] = value;
    });
  }
  return records;
}

/** The values of a column, undefined where a record lacks it. */
function unpackColumn(column, count) {
  if (Array.isArray(column)) return column;
  if (column.columns) return unpack(column);
  if (column.codes !== undefined) {
    const place = (code) => (typeof code === "string" ? ALPHABET.indexOf(code) : code);
    return Array.from(column.codes, (code) => column.values[place(code)]);
  }
  if (column.at) {
    const values = new Array(count).fill(undefined);
    unpackColumn(column.is, column.at.length).forEach((value, i) => (values[column.at[i]] = value));
    return values;
  }
  const total = column.lengths.reduce((sum, length) => sum + length, 0);
  const items = unpackColumn(column.items, total);
  let from = 0;
  return column.lengths.map((length) => items.slice(from, (from += length)));
}
