package kafkaport

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// smallestRequest has a kind, a version, a correlation id and no client id.
const smallestRequest = 10

// A request is one that is being carried out.
type request struct {
	server      *Server
	ctx         context.Context // until the connection ends
	host        string
	kind        kmsg.Key
	version     int16
	correlation int32
	client      string // id
	held        int64  // of Server.answers
}

// release gives back what was held until the answer was sent.
func (r *request) release() {
	r.server.answers.Release(r.held)
	r.held = 0
}

// carryOut decodes a request and does what it asks for. Without an answer there is none to be sent.
func (r *request) carryOut(frame []byte) (kmsg.Response, error) {
	b := kbin.Reader{Src: frame}
	r.kind, r.version, r.correlation = kmsg.Key(b.Int16()), b.Int16(), b.Int32()
	if id := b.NullableString(); id != nil {
		r.client = *id
	}
	if !b.Ok() {
		return nil, fmt.Errorf("%w: its header ends too soon", errMalformed)
	}
	k, known := kinds[r.kind]
	if !known {
		return nil, fmt.Errorf("request %d (%s) is not offered here", r.kind, r.kind.Name())
	}
	if r.version < k.oldest || r.version > k.newest {
		return r.refuseVersion(k)
	}
	asked := r.kind.Request()
	asked.SetVersion(r.version)
	if err := r.decode(b.Src, asked); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", r.kind.Name(), r.version, err)
	}
	return k.carryOut(r, asked)
}

// decode reads what follows the client id.
func (r *request) decode(body []byte, into kmsg.Request) error {
	flexible := into.IsFlexible()
	if flexible {
		w := walker{Reader: kbin.Reader{Src: body}, tags: maxTags}
		if err := w.walkTags(nil); err != nil {
			return err
		}
		body = w.Src
	}
	if err := walk(body, r.version, flexible, layouts[r.kind]); err != nil {
		return err
	}
	if err := into.ReadFrom(body); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// refuseVersion answers a version that isn't spoken here. A client that asks for versions in one that is too new is told in
// the oldest which there are, and asks again; of any other the answer can't be understood.
func (r *request) refuseVersion(k kind) (kmsg.Response, error) {
	if r.kind != kmsg.ApiVersions {
		return nil, fmt.Errorf("%s is spoken in versions %d to %d, not %d", r.kind.Name(), k.oldest, k.newest, r.version)
	}
	return oldestAPIVersions(), nil
}
