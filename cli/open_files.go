package cli

import (
	"log/slog"

	"stockflow/api"
)

// What may be open at once beside connections. LevelDB keeps up to 32 tables of a store open, and three files more.
const (
	storesAPartition = 12 // of four machines, of the views of their tables, and of the histories of their logs
	filesAStore      = 35
	otherFiles       = 200 // of the journal, connections to brokers and mail servers, listeners
	portConnections  = 256 // of the Kafka port, if nothing is short
)

// descriptors is how many connections there may be at once, so that they leave room for the files.
type descriptors struct {
	http, port int
}

// share shares the open files that the system allows among connections and files. 0 is a system that doesn't say. It
// says so when there may be too few.
func share(limit uint64, partitions int32, p api.Pressure, log *slog.Logger) descriptors {
	d := descriptors{p.Connections, portConnections}
	needed := uint64(int(partitions)*storesAPartition*filesAStore + otherFiles + p.Connections + portConnections)
	if limit == 0 || limit >= needed {
		return d
	}
	d.port = min(d.port, max(1, int(limit)/8))
	if quarter := max(2, int(limit)/4); d.http == 0 || d.http > quarter {
		d.http = quarter
	}
	log.Warn("few files may be open at once, allowing fewer connections; raise the limit (ulimit -n, LimitNOFILE)",
		"limit", limit, "needed", needed, "http_connections", d.http, "kafka_connections", d.port)
	return d
}
