// Package benchmarks measures what Stockflow costs: its engine against goka as it comes, on the same work in the same
// run; an order's way from the request to its outcome; orders side by side; memory, disk and starts over very many orders; and the
// folding of very long logs.
// It holds tests alone.
//
//	go test -run '^$' -bench . ./benchmarks                      # minutes; a million orders are left out
//	go test -run '^$' -bench Growth -benchtime 1x -timeout 3h ./benchmarks -orders 1000000
//
//	go test -run '^$' -bench 'Verify|Fold' -benchtime 1x -timeout 2h ./benchmarks -delivered 1000000 -archive /tmp/archive
//
// To compare two states of the program, on one machine:
//
//	go test -run '^$' -bench . -count 6 ./benchmarks >new.txt
//	go tool -modfile=tools/go.mod benchstat old.txt new.txt
//
// Numbers of different machines say nothing about Stockflow, and nothing here fails for being slow.
package benchmarks
