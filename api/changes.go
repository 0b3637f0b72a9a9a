package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// fieldChange is a field of a row that a message has changed. Before is missing if there was no such field, After if there
// is none any more.
type fieldChange struct {
	Field  string `json:"field"` // "status", "lines[lamp].allocated", "history[2]"
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// changes returns which fields differ between two rows as clients see them, nil being none. version always does, and is
// left out.
func changes(before, after any) []fieldChange {
	b, _ := tree(before).(map[string]any)
	a, _ := tree(after).(map[string]any)
	delete(b, "version")
	delete(a, "version")
	var all []fieldChange
	differ("", b, a, &all)
	return all
}

// tree is a row as its JSON has it.
func tree(row any) any {
	if row == nil {
		return nil
	}
	text, err := json.Marshal(row)
	if err != nil { // only strings, numbers and lists are ever shown
		panic(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var t any
	if err := d.Decode(&t); err != nil {
		panic(err)
	}
	return t
}

// differ adds what differs between two trees at a path. What is there on one side only is told as a whole.
func differ(path string, before, after any, all *[]fieldChange) {
	if reflect.DeepEqual(before, after) {
		return
	}
	if b, a, both := objects(before, after); both {
		for _, name := range union(b, a) {
			field := name
			if path != "" {
				field = path + "." + name
			}
			differ(field, b[name], a[name], all)
		}
		return
	}
	if b, a, both := lists(before, after); both {
		for _, name := range union(b, a) {
			differ(path+"["+name+"]", b[name], a[name], all)
		}
		return
	}
	*all = append(*all, fieldChange{path, before, after})
}

func objects(before, after any) (b, a map[string]any, both bool) {
	b, isB := before.(map[string]any)
	a, isA := after.(map[string]any)
	return b, a, isB && isA
}

// lists returns two lists by the names of their elements.
func lists(before, after any) (b, a map[string]any, both bool) {
	listB, isB := before.([]any)
	listA, isA := after.([]any)
	if !isB || !isA {
		return nil, nil, false
	}
	return named(listB), named(listA), true
}

// names are the fields that elements of lists are called by; those that have none of them, by their numbers.
var names = []string{"sku", "location", "kind"}

func named(list []any) map[string]any {
	byName := map[string]any{}
	for i, element := range list {
		name := fmt.Sprintf("%d", i)
		if object, is := element.(map[string]any); is {
			for _, field := range names {
				if text, has := object[field].(string); has {
					name = text
				}
			}
		}
		byName[name] = element
	}
	return byName
}

// union returns the names of both, sorted.
func union(a, b map[string]any) []string {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}
