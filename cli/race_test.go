//go:build race

package cli

// slowed is how many times less is done under the race detector, where everything takes that much longer.
const slowed = 10
