package journal

import "testing"

// Frames use up memory one behind the other. One that has no room for what comes next moves.
func TestMemoryOfFrames(t *testing.T) {
	var none *frame
	memory := none.rest(1000)
	if len(memory) != 0 || cap(memory) != frameMemory {
		t.Fatalf("%d of %d bytes", len(memory), cap(memory))
	}
	first := &frame{buf: memory[:1000]}
	second := &frame{buf: first.rest(frameMemory - 1000)[:10]}
	if &second.buf[0] != &memory[:frameMemory][1000] {
		t.Error("the second frame isn't behind the first")
	}
	if other := first.rest(frameMemory - 999); cap(other) != frameMemory || &other[:1][0] == &second.buf[0] {
		t.Error("a frame is begun where it has no room")
	}
	before := second.buf
	second.reserve(frameMemory - 1010)
	if &second.buf[0] != &before[0] {
		t.Error("a frame has moved that has room")
	}
	second.buf[9] = 'x'
	second.reserve(frameMemory - 1009)
	if &second.buf[0] == &before[0] || len(second.buf) != 10 || second.buf[9] != 'x' || cap(second.buf)-10 < frameMemory-1009 {
		t.Error("a frame has no room, or not what it had")
	}
}
