package kafkaport

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill gives each field of a request something, as far as it is written in the request's version.
func fill(random *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			if random.IntN(4) == 0 {
				tags.Set(100+random.Uint32N(3), []byte("later"))
			}
			return
		}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" {
				fill(random, v.Field(i))
			}
		}
	case reflect.Slice:
		n := random.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(random, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(random, v.Index(i))
		}
	case reflect.Pointer:
		if random.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(random, v.Elem())
		}
	case reflect.String:
		v.SetString("orders"[:random.IntN(7)])
	case reflect.Bool:
		v.SetBool(random.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(random.Int64N(100))
	case reflect.Uint8:
		v.SetUint(random.Uint64N(100))
	default:
		panic(v.Type())
	}
}

// eachVersion calls f with an empty request of each kind and version that is answered.
func eachVersion(f func(kmsg.Request)) {
	for key, k := range kinds {
		for version := k.oldest; version <= k.newest; version++ {
			r := key.Request()
			r.SetVersion(version)
			f(r)
		}
	}
}

// TestLayoutsAreThoseOfKmsg: what it writes is walked to its end, and not past it.
func TestLayoutsAreThoseOfKmsg(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	eachVersion(func(r kmsg.Request) {
		for range 200 {
			fill(random, reflect.ValueOf(r).Elem())
			body := r.AppendTo(nil)
			w := walker{Reader: kbin.Reader{Src: body}, version: r.GetVersion(), flexible: r.IsFlexible(), elements: maxElements, tags: maxTags}
			err := w.walkStruct(layouts[kmsg.Key(r.Key())])
			if err != nil || len(w.Src) != 0 {
				t.Fatalf("%s version %d: %v, and %d of %d bytes are left of %+v", kmsg.NameForKey(r.Key()), r.GetVersion(), err, len(w.Src), len(body), r)
			}
			if len(body) == 0 {
				continue
			}
			if cut := body[:len(body)-1]; walk(cut, r.GetVersion(), r.IsFlexible(), layouts[kmsg.Key(r.Key())]) == nil {
				t.Fatalf("%s version %d: the last byte of %x isn't missed", kmsg.NameForKey(r.Key()), r.GetVersion(), body)
			}
		}
	})
}

// TestNumbersThatLieAreFound before anything is allocated, or gone through, for them.
func TestNumbersThatLieAreFound(t *testing.T) {
	manyTags := kmsg.NewPtrApiVersionsRequest()
	manyTags.Version = 4
	tags := manyTags.AppendTo(nil)
	tags = binary.AppendUvarint(tags[:len(tags)-1], 1<<32-1)

	topics := append([]byte{0, 0x10, 0, 0}, make([]byte, 2<<20)...) // as many empty names as it says

	state := kmsg.NewPtrFetchRequest()
	state.Version = 15
	fetch := state.AppendTo(nil)
	inside := binary.AppendUvarint(make([]byte, 12), 1<<32-1)
	fetch = append(fetch[:len(fetch)-1], 1, 1, byte(len(inside)))
	fetch = append(fetch, inside...)

	for name, c := range map[string]struct {
		key     kmsg.Key
		version int16
		body    []byte
	}{
		"tags":            {kmsg.ApiVersions, 4, tags},
		"topics":          {kmsg.Metadata, 1, topics},
		"tags inside one": {kmsg.Fetch, 15, fetch},
	} {
		r := c.key.Request()
		r.SetVersion(c.version)
		if err := walk(c.body, c.version, r.IsFlexible(), layouts[c.key]); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		allocated := testing.AllocsPerRun(10, func() { _ = walk(c.body, c.version, r.IsFlexible(), layouts[c.key]) })
		if allocated > 10 {
			t.Errorf("%s: %g allocations", name, allocated)
		}
	}
}
