-- Flow records of `wharf flows --kafka BROKERS/flows` in ClickHouse: a queue that reads the topic, a table that keeps the records,
-- a view that carries them over, and questions. `--json` writes the same objects: without Kafka,
-- `wharf flows -r day.pcapng --json | clickhouse-client --query 'INSERT INTO flows_in FORMAT JSONEachRow'`
-- does with a `flows_in` of `ENGINE = Null`.

-- The objects as they come. One consumer a partition at most; the group's name keeps the place in the topic.
CREATE TABLE flows_in
(
    proto String,
    src String,
    sport UInt16,
    dst String,
    dport UInt16,
    vlan Array(UInt16),
    name String,
    name_from String,
    application String,
    packets Array(UInt64),
    bytes Array(UInt64),
    payload Array(UInt64),
    tcp_flags Array(UInt16),
    first Decimal(20, 9),
    last Decimal(20, 9),
    duration Float64,
    -- Of each side; empty where none was wrong.
    bad_checksums Array(UInt32),
    community_id String,
    end String,
    -- The whole of TCP's story, as JSON.
    tcp String,
    story String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'kafka-1:9092,kafka-2:9092',
    kafka_topic_list = 'flows',
    kafka_group_name = 'clickhouse',
    kafka_format = 'JSONEachRow',
    kafka_num_consumers = 4,
    -- A message that is none is left out, not waited at.
    kafka_skip_broken_messages = 100;

-- `a` is what the source sent, `b` what the destination did. A message that Kafka delivers again makes a row with the same key:
-- merges, and FINAL, keep one of them. Sensors that see the same flow have a row each, with times of their own: community_id brings
-- them together.
CREATE TABLE flows
(
    first DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    last DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    proto LowCardinality(String),
    src IPv6,
    sport UInt16,
    dst IPv6,
    dport UInt16,
    vlan Array(UInt16),
    name String CODEC(ZSTD),
    name_from LowCardinality(String),
    application LowCardinality(String),
    packets_a UInt64 CODEC(T64, ZSTD),
    packets_b UInt64 CODEC(T64, ZSTD),
    bytes_a UInt64 CODEC(T64, ZSTD),
    bytes_b UInt64 CODEC(T64, ZSTD),
    tcp_state LowCardinality(String),
    handshake Nullable(Float64),
    retransmissions_a UInt32 CODEC(T64, ZSTD),
    retransmissions_b UInt32 CODEC(T64, ZSTD),
    lost_a UInt32 CODEC(T64, ZSTD),
    lost_b UInt32 CODEC(T64, ZSTD),
    bad_checksums_a UInt32 CODEC(T64, ZSTD),
    bad_checksums_b UInt32 CODEC(T64, ZSTD),
    end LowCardinality(String),
    story String CODEC(ZSTD),
    community_id String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(first)
ORDER BY (toStartOfHour(first), dst, dport, community_id, first)
TTL toDateTime(first) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW flows_carry TO flows AS
SELECT
    fromUnixTimestamp64Nano(toInt64(flow.first * 1000000000), 'UTC') AS first,
    fromUnixTimestamp64Nano(toInt64(flow.last * 1000000000), 'UTC') AS last,
    proto, toIPv6(src) AS src, sport, toIPv6(dst) AS dst, dport, vlan, name, name_from, application,
    packets[1] AS packets_a, packets[2] AS packets_b, bytes[1] AS bytes_a, bytes[2] AS bytes_b,
    JSONExtractString(tcp, 'state') AS tcp_state,
    JSONExtract(tcp, 'handshake', 'answered_after', 'Nullable(Float64)')
        + JSONExtract(tcp, 'handshake', 'confirmed_after', 'Nullable(Float64)') AS handshake,
    JSONExtractUInt(tcp, 'sides', 1, 'retransmissions') AS retransmissions_a,
    JSONExtractUInt(tcp, 'sides', 2, 'retransmissions') AS retransmissions_b,
    JSONExtractUInt(tcp, 'sides', 1, 'lost') AS lost_a,
    JSONExtractUInt(tcp, 'sides', 2, 'lost') AS lost_b,
    bad_checksums[1] AS bad_checksums_a, bad_checksums[2] AS bad_checksums_b,
    end, story, community_id
FROM flows_in AS flow;

-- Questions. Each is over the last day; the partitions make that cheap.

-- Who moves the most, by name where there is one?
SELECT if(name = '', toString(dst), name) AS server, count() AS records, formatReadableSize(sum(bytes_a + bytes_b)) AS moved
FROM flows WHERE first > now() - INTERVAL 1 DAY
GROUP BY server ORDER BY sum(bytes_a + bytes_b) DESC LIMIT 20;

-- Which servers refuse or do not answer, and whom?
SELECT dst, dport, tcp_state, count() AS attempts, uniq(src) AS clients
FROM flows WHERE first > now() - INTERVAL 1 DAY AND tcp_state IN ('refused', 'attempt')
GROUP BY dst, dport, tcp_state ORDER BY attempts DESC LIMIT 20;

-- Where is the network losing? Connections with a handshake, by network of the server.
SELECT IPv6CIDRToRange(dst, 120).1 AS network, sum(retransmissions_a + retransmissions_b) AS sent_again,
    round(100 * sent_again / sum(packets_a + packets_b), 2) AS percent, quantile(0.95)(handshake) AS handshake_95
FROM flows WHERE first > now() - INTERVAL 1 DAY AND proto = 'tcp'
GROUP BY network HAVING sum(packets_a + packets_b) > 10000 ORDER BY percent DESC LIMIT 20;

-- One conversation as all sensors saw it, to be joined with Zeek's or Suricata's record of it.
SELECT * FROM flows FINAL WHERE community_id = '1:LQU9qZlK+B5F3KDmev6m5PMibrg=' ORDER BY first;

-- Bytes a minute, for a chart.
SELECT toStartOfMinute(first) AS minute, sum(bytes_a + bytes_b) * 8 / 60 AS bits_per_second
FROM flows WHERE first > now() - INTERVAL 1 DAY
GROUP BY minute ORDER BY minute;
