// Package replay folds the logs again, without goka: to prove that every table is the fold of its log, to rebuild one
// that isn't, and to look at rows as they were.
package replay
