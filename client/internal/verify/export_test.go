package verify

// NeededDirectories is neededDirectories.
var NeededDirectories = neededDirectories
