-- What second.lua requires.
return { text = "from a module" }
