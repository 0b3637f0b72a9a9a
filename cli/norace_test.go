//go:build !race

package cli

const slowed = 1
