//go:build !torture

package torture

const withFlaws = false
