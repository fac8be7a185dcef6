// Reads an MCAP file by @mcap/core in both ways, from its index and as a stream, and prints what is in it as JSON:
// node read.mjs FILE. Run from the folder into which package.json was installed.
import { open } from "node:fs/promises";
import { McapIndexedReader, McapStreamReader } from "@mcap/core";

const file = await open(process.argv[2]);
const size = (await file.stat()).size;
const readable = {
  size: async () => BigInt(size),
  read: async (offset, length) => {
    const bytes = new Uint8Array(Number(length));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, Number(offset));
    if (bytesRead !== bytes.length) {
      throw new Error(`read ${bytesRead} of ${bytes.length} bytes at ${offset}`);
    }
    return bytes;
  },
};

const plain = (key, value) => {
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (value instanceof Map) {
    return Object.fromEntries(value);
  }
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
};

const reader = await McapIndexedReader.Initialize({ readable });
const out = {
  header: reader.header,
  statistics: reader.statistics,
  schemas: [...reader.schemasById.values()],
  channels: [...reader.channelsById.values()],
  chunks: reader.chunkIndexes.length,
  messages: [],
  attachments: [],
  metadata: [],
  stream: { messages: 0, types: {} },
};
for await (const message of reader.readMessages()) {
  out.messages.push({
    topic: reader.channelsById.get(message.channelId).topic,
    sequence: message.sequence,
    logTime: message.logTime,
    publishTime: message.publishTime,
    data: message.data,
  });
}
for await (const attachment of reader.readAttachments()) {
  out.attachments.push(attachment);
}
for await (const metadata of reader.readMetadata()) {
  out.metadata.push(metadata);
}

const stream = new McapStreamReader({ validateCrcs: true });
const piece = new Uint8Array(1 << 16);
for (let at = 0; at < size; ) {
  const { bytesRead } = await file.read(piece, 0, piece.length, at);
  stream.append(piece.slice(0, bytesRead));
  at += bytesRead;
  for (let record; (record = stream.nextRecord()); ) {
    out.stream.types[record.type] = (out.stream.types[record.type] ?? 0) + 1;
  }
}
out.stream.done = stream.done();
await file.close();
console.log(JSON.stringify(out, plain));
