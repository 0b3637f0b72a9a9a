//go:build torture

package torture

// withFlaws says that the program counts what it flushes, and has the flaws that it is told to have.
const withFlaws = true
