/**
 * HTTP of Node.js without its WebSocket: an import statement reads every export of a module, and that one loads 5 MB
 * (measured in the agent) which nobody needs here.
 */
export const { createServer, request } = process.getBuiltinModule('node:http')
